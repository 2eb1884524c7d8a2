"""What every network checks before it builds: input shape, number of classes, stem and width."""

import keras

SMALL_BELOW = 64  # pixels: below this the stem of small images is the default


def image_input(network: str, input_shape: tuple[int, int, int], classes: int, *, minimum: int) -> keras.KerasTensor:
    """The input named "image", float32 [n, height, width, channels], of normalized pixels.

    Raises ValueError if height or width is below `minimum`, or if any number isn't a positive integer.
    """
    _check_shape(network, input_shape)
    if not isinstance(classes, int) or classes < 1:
        raise ValueError(f"{network}: classes={classes} does not fit: give a positive integer")
    height, width, _ = input_shape
    if min(height, width) < minimum:
        raise ValueError(
            f"{network}: images of {height}x{width} are too small, it needs at least {minimum}x{minimum}: enlarge the "
            "images or choose a network for smaller ones"
        )
    return keras.Input(tuple(input_shape), dtype="float32", name="image")


def choose_stem(
    network: str, stem: str | None, input_shape: tuple[int, int, int], small_below: int = SMALL_BELOW
) -> str:
    """The stem asked for; without one, "small" below `small_below` pixels and "imagenet" from there on."""
    _check_shape(network, input_shape)
    if stem is None:
        return "small" if min(input_shape[:2]) < small_below else "imagenet"
    if stem not in {"imagenet", "small"}:
        raise ValueError(f'{network}: stem="{stem}" does not exist: choose "imagenet" or "small"')
    return stem


def check_width(network: str, width: int, multiple_of: int = 1) -> None:
    """Raise ValueError unless a residual network's base width fits its groups of channels."""
    if not isinstance(width, int) or width <= 0 or width % multiple_of:
        raise ValueError(f"{network}: width={width} does not fit: give a positive multiple of {multiple_of}")


def _check_shape(network: str, input_shape: tuple[int, int, int]) -> None:
    if len(input_shape) != 3 or not all(isinstance(n, int) and n > 0 for n in input_shape):
        raise ValueError(
            f"{network}: input_shape={input_shape} does not fit: give (height, width, channels) as positive integers"
        )
