"""The serving stage of convserve: artifacts in, HTTP answers out.

Never imports TensorFlow, Keras, `models` or `export`.
"""
