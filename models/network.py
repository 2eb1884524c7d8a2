"""The entry of a network in the registry: how to build it, and the paper's figures. Each family's file has its own."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import keras


@dataclass(frozen=True)
class Network:
    """One network: how to build it, and what its paper says of it.

    `build(input_shape=(height, width, channels), classes=n, **options)` gives a functional keras.Model. Its
    one input, float32 [n, height, width, channels], is named "image" and holds normalized pixels; its output
    is the logits, float32 [n, classes], from a last Dense layer named "logits". Networks with auxiliary heads
    take `auxiliary=True` and then give a dict: "logits" and every name in `auxiliary`. `build` raises
    ValueError for an input too small for the network.
    """

    build: Callable[..., keras.Model]
    input_shape: tuple[int, int, int]  # height, width, channels: the default of build
    classes: int  # the default of build
    paper: str
    year: int
    parameters: int  # trainable, with the defaults of build, without auxiliary heads
    multiply_adds: int  # of convolutions and dense layers, for one image
    published_error: str  # of a single network; "" where none was published
    story: str  # what it brought, in one line
    auxiliary: Mapping[str, float] = field(default_factory=dict)  # auxiliary output: its loss weight
