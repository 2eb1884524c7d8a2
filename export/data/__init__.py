"""Data sets and images on disk: what they hold, their classes, their splits. Knows no Keras."""
