"""What augmentation does to a batch, a file a change: NumPy arrays in and out, random by the generator alone. Knows no
recipe, no data set and no Keras."""
