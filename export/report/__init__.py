"""Accuracy, calibration and pictures of probabilities and labels. Knows no network."""
