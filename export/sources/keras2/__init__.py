"""Files of Keras 2 (TensorFlow up to 2.15, Teachable Machine) brought to Keras 3: layers, operations, weights."""
