"""Every layer of a network, those of networks inside it included."""

from collections.abc import Iterator

import keras


def walk_layers(model: keras.Model) -> Iterator[keras.layers.Layer]:
    """Every layer in the order of the definition; models inside are walked, not given."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from walk_layers(layer)
        else:
            yield layer
