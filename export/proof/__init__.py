"""The untouched network beside the finished graph on the same images: differences, precision, time."""
