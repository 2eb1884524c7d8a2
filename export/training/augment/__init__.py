"""The operations of augmentation, one per module: NumPy arrays in and out, random only by the generator. Knows no
recipe, no data set and no Keras.
"""
