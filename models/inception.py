"""What all Inception networks share: a module is a list of branches, a branch a list of steps.

A step is a convolution, a pooling, or a list of branches into which it forks. Tables keep the paper's
numbers; a width below 1 thins every convolution of a network in its unit.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol, TypeAlias

from keras import layers

from models.convolution import BATCH_NORM, Size, Tensor, convolution, max_pool, normalize

MINIMUM_FILTERS = 16  # slim's min_depth: a thinner network keeps at least this many in each convolution


class Conv(NamedTuple):
    """A convolution with what follows it (BN, ReLU)."""

    filters: int
    kernel: Size
    strides: int = 1
    padding: str = "same"


# "mean" and "max" are 3x3 poolings that keep the size; "max/2" and "max/2 valid" are 3x3 and halve it.
Step: TypeAlias = Conv | str | list["Branch"]
Branch: TypeAlias = list[Step]


class Unit(Protocol):
    """A network's convolution with normalization and activation."""

    def __call__(
        self, x: Tensor, filters: int, kernel: Size, strides: int = 1, padding: str = "same", *, name: str
    ) -> Tensor: ...


def module(x: Tensor, branches: list[Branch], unit: Unit, *, name: str) -> Tensor:
    """An Inception module: every branch gets x, and their outputs are concatenated along the channels."""
    outputs = []
    for b, steps in enumerate(branches, 1):
        y = x
        for s, step in enumerate(steps, 1):
            y = _apply(y, step, unit, name=f"{name}_{b}{'abcdefgh'[s - 1]}")
        outputs.append(y)
    return layers.Concatenate(name=name)(outputs) if len(outputs) > 1 else outputs[0]


def _apply(x: Tensor, step: Step, unit: Unit, *, name: str) -> Tensor:
    match step:
        case Conv():
            return unit(x, *step, name=name)
        case list():
            return module(x, step, unit, name=name)
        case "mean":
            return layers.AveragePooling2D(3, 1, padding="same", name=name)(x)
        case "max":
            return max_pool(x, 3, 1, name=name)
        case "max/2":
            return max_pool(x, name=name)
        case "max/2 valid":
            return max_pool(x, padding="valid", name=name)
    raise ValueError(f"{name}: {step!r} is no step of an Inception module")


def thin(network: str, filters: int, width: float) -> int:
    """The number of filters of a convolution in a network of this `width`, a factor; 1.0 is the paper's."""
    if not 0 < width <= 4:
        raise ValueError(f"{network}: width={width} does not fit: give a factor above 0 and up to 4")
    return max(min(filters, MINIMUM_FILTERS), int(filters * width))


def normalized_unit(
    network: str,
    width: float,
    settings: Mapping[str, object] = BATCH_NORM,
    initial: Callable[[], object] = lambda: "he_normal",
) -> Unit:
    """The unit from Inception v2 on: convolution without bias, batch normalization, ReLU."""

    def unit(x: Tensor, filters: int, kernel: Size, strides: int = 1, padding: str = "same", *, name: str) -> Tensor:
        filters = thin(network, filters, width)
        x = convolution(x, filters, kernel, strides, padding=padding, bias=False, initial=initial(), name=name)
        return normalize(x, settings=settings, name=name)

    return unit


def head_window(x: Tensor) -> tuple[int, int]:
    """The 5x5 window of an auxiliary head: on the maps of small images it shrinks to the map."""
    height, width = x.shape[1:3]
    return min(5, height), min(5, width)
