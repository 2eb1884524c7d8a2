"""Shadows: models that also run the images that others have answered, while the process has nothing else to do."""
