"""What a training starts from: a recipe, a data set, the initial network."""
