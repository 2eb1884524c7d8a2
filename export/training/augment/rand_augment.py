"""RandAugment (Cubuk et al. 2020): random operations of one magnitude, each image by itself, through Pillow.

Operations, what a magnitude of 0..30 means in each, and interpolation (none) are torchvision.transforms.RandAugment's.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from artifact.images.frame import Pixels

STRONGEST = 30
"""The largest magnitude."""

Operation = Callable[[Image.Image, int], Image.Image]


def rand_augment(images: Pixels, operations: int, magnitude: int, generator: np.random.Generator) -> Pixels:
    """uint8 [n, h, w, c], each image after `operations` drawn for it, in either direction where there are two."""
    drawn = generator.integers(len(OPERATIONS), size=(len(images), operations))
    signs = generator.choice([-1, 1], (len(images), operations))
    known = list(OPERATIONS.values())
    changed = np.empty_like(images)
    for pixels, chosen, directions, place in zip(images, drawn, signs, changed, strict=True):
        image = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
        for operation, sign in zip(chosen, directions, strict=True):
            image = known[operation](image, int(sign) * magnitude)
        place[:] = np.asarray(image).reshape(pixels.shape)
    return changed


def _affine(image: Image.Image, *matrix: float) -> Image.Image:
    return image.transform(image.size, Image.Transform.AFFINE, matrix, Image.Resampling.NEAREST)


def _translate(extent: int, magnitude: int) -> int:
    """Pixels, cut to whole ones: up to 150 of 331."""
    return -int(150 / 331 * extent * magnitude / STRONGEST)


# By a magnitude of -30..30; where there is one direction only, its sign means nothing.
OPERATIONS: dict[str, Operation] = {
    "identity": lambda image, _: image,
    "shear-x": lambda image, m: _affine(image, 1, 0.01 * m, 0, 0, 1, 0),
    "shear-y": lambda image, m: _affine(image, 1, 0, 0, 0.01 * m, 1, 0),
    "translate-x": lambda image, m: _affine(image, 1, 0, _translate(image.width, m), 0, 1, 0),
    "translate-y": lambda image, m: _affine(image, 1, 0, 0, 0, 1, _translate(image.height, m)),
    "rotate": lambda image, m: image.rotate(m),
    "brightness": lambda image, m: ImageEnhance.Brightness(image).enhance(1 + 0.03 * m),
    "color": lambda image, m: ImageEnhance.Color(image).enhance(1 + 0.03 * m),
    "contrast": lambda image, m: ImageEnhance.Contrast(image).enhance(1 + 0.03 * m),
    "sharpness": lambda image, m: ImageEnhance.Sharpness(image).enhance(1 + 0.03 * m),
    "posterize": lambda image, m: ImageOps.posterize(image, 8 - round(abs(m) / 7.5)),
    "solarize": lambda image, m: ImageOps.solarize(image, math.ceil(255 - 8.5 * abs(m))),
    "auto-contrast": lambda image, _: ImageOps.autocontrast(image),
    "equalize": lambda image, _: ImageOps.equalize(image),
}
