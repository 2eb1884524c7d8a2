"""Networks known by name, ours and keras.applications': their definitions, with weights from a file or random ones."""
