"""How a network is trained: what a recipe says, the files and cards it is read from, and what is trained by default.

Knows neither Keras nor any network: a recipe is read, checked and shown before either is loaded.
"""
