"""Compares the untouched network with the finished graph on the same images: outputs, precision, time."""
