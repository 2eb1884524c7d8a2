"""What a training lowers, and what it counts on the way: a loss and a metric for Keras, on any backend."""
