"""What a training begins with: a recipe, a data set, the network in its first state."""
