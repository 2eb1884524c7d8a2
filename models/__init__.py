"""The networks of the series in pure Keras 3: layers and keras.ops. Knows no data, training, export or serving."""
