"""Aliases and shadows: what they mean, and how they change. Knows models only by their names."""
