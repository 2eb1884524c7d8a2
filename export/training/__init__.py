"""Recipes, batches and epochs: a network trained into a run folder. Runs on any Keras backend."""
