"""What every network checks before it builds: the shape of its input and the number of its classes."""

import keras


def image_input(
    network: str,
    input_shape: tuple[int, int, int],
    classes: int,
    *,
    minimum: int,
    remedy: str = "enlarge the images or choose a network for smaller ones",
) -> keras.KerasTensor:
    """The input named "image", float32 [n, height, width, channels], of normalized pixels.

    Raises ValueError if height or width is below `minimum`, or if any number isn't a positive integer.
    """
    numbers = (*input_shape, classes)
    if len(input_shape) != 3 or not all(isinstance(n, int) and n > 0 for n in numbers):
        raise ValueError(
            f"{network}: input_shape={input_shape}, classes={classes}: "
            "give (height, width, channels) and classes as positive integers"
        )
    height, width, _ = input_shape
    if min(height, width) < minimum:
        raise ValueError(
            f"{network}: images of {height}x{width} are too small, "
            f"it needs at least {minimum}x{minimum}: {remedy}"
        )
    return keras.Input(input_shape, dtype="float32", name="image")
