"""Everybody else's forms, each a translation and nothing more."""
