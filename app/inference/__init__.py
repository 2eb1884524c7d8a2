"""One version of a model, from its folder to scores on a device. Knows no HTTP and no other model."""
