"""A loss and a metric for Keras, on any backend."""
