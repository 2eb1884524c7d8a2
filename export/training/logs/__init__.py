"""A training as TensorBoard and MLflow show it. Knows what is logged, not how a network is trained."""
