"""Images damaged as cameras, networks and people damage them: six ways, three strengths each.

After Hendrycks and Dietterich (2019), who have more. Lengths are shares of the image's shorter side, so that a strength
means the same at 28 and at 224 pixels. Where there are two directions (darker and brighter, left and right, smaller and
larger), every second image takes the other.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from artifact.figures.robustness import Corruption
from artifact.images.frame import Pixels

Change = Callable[[Image.Image, float, int], Image.Image]
"""An image, an amount, and a number that is its own among the images: for directions and noise."""


@dataclass(frozen=True)
class Damage:
    change: Change
    amounts: tuple[float, float, float]
    title: str
    mark: str
    """An amount under the title, on an axis."""
    words: str
    """An amount that stands alone."""


def corrupt(pixels: Pixels, corruption: Corruption, amount: float) -> Pixels:
    """uint8 [n, height, width, 1 or 3], each image changed by `amount`; the same every time."""
    change, found = DAMAGES[corruption].change, np.empty_like(pixels)
    for number, (image, place) in enumerate(zip(pixels, found, strict=True)):
        picture = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
        place[:] = np.asarray(change(picture, amount, number)).reshape(place.shape)
    return found


def _blur(image: Image.Image, amount: float, number: int) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(amount * min(image.size)))


def _add_noise(image: Image.Image, amount: float, number: int) -> Image.Image:
    pixels = np.asarray(image)
    noise = np.random.default_rng(number).standard_normal(pixels.shape, np.float32)
    return Image.fromarray(np.rint(np.clip(pixels + noise * np.float32(255 * amount), 0, 255)).astype(np.uint8))


def _compress(image: Image.Image, quality: float, number: int) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=int(quality))
    return Image.open(buffer)


def _light(image: Image.Image, amount: float, number: int) -> Image.Image:
    factor = 1 + amount if number % 2 else 1 - amount
    return image.point([min(255, round(level * factor)) for level in range(256)] * len(image.getbands()))


def _turn(image: Image.Image, degrees: float, number: int) -> Image.Image:
    angle = degrees if number % 2 else -degrees
    return image.rotate(angle, Image.Resampling.BILINEAR, fillcolor=_edge_color(image))


def _scale(image: Image.Image, amount: float, number: int) -> Image.Image:
    """Smaller or larger around the middle, in the same frame."""
    factor = 1 + amount if number % 2 else 1 - amount
    (width, height), step = image.size, 1 / factor
    return image.transform(
        image.size,
        Image.Transform.AFFINE,
        (step, 0, (1 - step) * width / 2, 0, step, (1 - step) * height / 2),
        Image.Resampling.BILINEAR,
        fillcolor=_edge_color(image),
    )


def _edge_color(image: Image.Image) -> int | tuple[int, ...]:
    """What fills the corners: the mean of the image's edge, so that black stays black around a digit."""
    pixels: npt.NDArray[np.uint8] = np.asarray(image)
    edge = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    mean = np.rint(edge.mean(axis=0)).astype(int)
    return int(mean) if mean.ndim == 0 else tuple(mean.tolist())


DAMAGES: dict[Corruption, Damage] = {
    "blur": Damage(_blur, (0.01, 0.02, 0.04), "Blur: sigma, of the side", "{:.0%}", "sigma {:.0%} of the side"),
    "noise": Damage(_add_noise, (0.05, 0.1, 0.2), "Noise: sigma, of white", "{:.0%}", "sigma {:.0%} of white"),
    "jpeg": Damage(_compress, (50, 25, 10), "JPEG quality", "{:.0f}", "quality {:.0f}"),
    "brightness": Damage(_light, (0.2, 0.4, 0.6), "Brightness", "±{:.0%}", "±{:.0%}"),
    "rotation": Damage(_turn, (5, 15, 30), "Rotation", "±{:.0f}°", "±{:.0f} degrees"),
    "scale": Damage(_scale, (0.1, 0.2, 0.4), "Scale", "±{:.0%}", "±{:.0%}"),
}
