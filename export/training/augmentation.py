"""Random changes to training images, a batch at a time. The recipe chooses them: a flipped 2 is not a digit.

What each field does is in export/training/augment, as far as it takes more than a few lines.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter
from pydantic import Field

from artifact.image_policy import ImagePolicy
from artifact.images.fit import FindFrame
from artifact.images.frame import Pixels
from export.errors import UsageError
from export.training.augment.affine import transform
from export.training.augment.crops import draw_crops
from export.training.augment.erasing import erase
from export.training.augment.mixing import Floats, cutmix, mixup
from export.training.augment.rand_augment import STRONGEST, rand_augment
from export.training.augment.scale_jitter import jitter_scale


@dataclass(frozen=True)
class Augmentation:
    """Each field off at its zero."""

    flip: bool = False
    """Left to right, every second image."""
    crop_padding: Annotated[int, Field(ge=0)] = 0
    """Shift by up to this many pixels, edges filled with black (He et al. 2015 on CIFAR)."""
    scale_jitter: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(max_length=2)] = ()
    """The shorter side is resized to a length between these two, in pixels, and the network's size cut out anywhere
    (Simonyan and Zisserman 2014: [256, 512]); twice the same length is one scale."""
    color: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Brightness and contrast times 1 +- this (saturation too on RGB)."""
    rotate: Annotated[float, Field(ge=0, le=180)] = 0.0
    """Turn by up to this many degrees, shear by half of it."""
    zoom: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Scale by 1 +- this."""
    pca_noise: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Light: along each principal component of ImageNet's colors, its eigenvalue times a normal number of this
    standard deviation is added to all pixels alike (Krizhevsky et al. 2012: 0.1). For RGB alone."""
    sharpness: bool = False
    """Blur or harden strokes, so that pen, pencil and scanned ink look alike. For digit-like sets."""
    random_resized_crop: Annotated[float, Field(ge=0, le=1)] = 0.0
    """A random part of at least this share of the image, 3:4 to 4:3 in shape, resized to the network's size (Szegedy et
    al. 2015; torchvision: 0.08)."""
    rand_augment: Annotated[int, Field(ge=0, le=14)] = 0
    """So many operations of RandAugment on each image (Cubuk et al. 2020; torchvision: 2), as torchvision has them."""
    rand_augment_magnitude: Annotated[int, Field(ge=0, le=STRONGEST)] = 0
    """The strength of all of RandAugment's operations (torchvision: 9)."""
    random_erasing: Annotated[float, Field(ge=0, le=1)] = 0.0
    """The share of images that lose a rectangle of 2 to 33 % of their area to noise (Zhong et al. 2017: 0.5)."""
    mixup: Annotated[float, Field(ge=0)] = 0.0
    """Images and targets of a batch are mixed in pairs by a share of Beta(a, a) of this a (Zhang et al. 2018: 0.2 on
    ImageNet, 1 on CIFAR)."""
    cutmix: Annotated[float, Field(ge=0)] = 0.0
    """A rectangle comes from another image of the batch, targets by their areas; its share as mixup's (Yun et al. 2019:
    1). With mixup, too, each batch takes one of the two, by even chance."""

    def check(self, policy: ImagePolicy) -> None:
        """Raises UsageError for what can't be done to images under this policy."""
        if self.scale_jitter and self.scale_jitter[0] < (size := max(policy.width, policy.height)):
            raise UsageError(
                f"augmentation.scale_jitter = {list(self.scale_jitter)}: the network's {policy.height}x{policy.width} "
                f"pixels can't be cut from a side of {self.scale_jitter[0]}: use {size} or more, or a smaller --size"
            )
        if self.scale_jitter and self.random_resized_crop:
            raise UsageError(
                f"augmentation.scale_jitter = {list(self.scale_jitter)} and augmentation.random_resized_crop = "
                f"{self.random_resized_crop:g} both choose the part of an image: set one of them to 0 or []"
            )
        if self.pca_noise and policy.channels != 3:
            raise UsageError(
                f"augmentation.pca_noise = {self.pca_noise:g} is for RGB images, these are gray: set "
                "augmentation.pca_noise=0, or augmentation.color for brightness and contrast"
            )

    @property
    def cuts(self) -> bool:
        """Whether a training sees other parts of its images than the service, so that each is decoded anew."""
        return bool(self.scale_jitter or self.random_resized_crop)

    def choose_parts(self, count: int, generator: np.random.Generator) -> list[FindFrame] | None:
        """Which part of each of `count` images is shown; None where that is what the service shows."""
        if self.scale_jitter:
            return jitter_scale(self.scale_jitter, count, generator)
        if self.random_resized_crop:
            return draw_crops(count, self.random_resized_crop, generator)
        return None

    def apply(self, images: Pixels, generator: np.random.Generator) -> Pixels:
        """A changed copy of uint8 [batch, h, w, c]."""
        if self.rotate or self.zoom:
            images = transform(images, self._draw_matrices(images, generator))
        if self.sharpness:
            images = np.stack([_restroke(image, generator) for image in images])
        if self.crop_padding:
            images = _shift(images, self.crop_padding, generator)
        if self.flip:
            images = np.where(generator.random((len(images), 1, 1, 1)) < 0.5, images[:, :, ::-1], images)
        if self.color:
            images = _recolor(images, self.color, generator)
        if self.pca_noise:
            images = _relight(images, self.pca_noise, generator)
        if self.rand_augment:
            images = rand_augment(images, self.rand_augment, self.rand_augment_magnitude, generator)
        if self.random_erasing:
            images = erase(images, self.random_erasing, generator)
        return images

    def mix(self, x: Floats, targets: Floats, generator: np.random.Generator) -> tuple[Floats, Floats]:
        """x float32 [batch, h, w, c] and targets float32 [batch, classes], mixed within the batch."""
        if self.cutmix and (not self.mixup or generator.random() < 0.5):
            return cutmix(x, targets, self.cutmix, generator)
        return mixup(x, targets, self.mixup, generator) if self.mixup else (x, targets)

    def _draw_matrices(self, images: Pixels, generator: np.random.Generator) -> npt.NDArray[np.float64]:
        """For each image, about its middle: where each pixel of the changed one is read."""
        count, height, width, _ = images.shape
        turn, slant = np.radians(generator.uniform(-1, 1, (2, count)) * self.rotate)
        across, down = 1 + generator.uniform(-1, 1, (2, count)) * self.zoom
        cos, sin, shear = np.cos(turn), np.sin(turn), np.tan(slant / 2)
        x, y = width / 2, height / 2
        a, b, d, e = cos / across, (sin + shear) / across, -sin / down, cos / down
        return np.stack([a, b, x - a * x - b * y, d, e, y - d * x - e * y], axis=1)


# Of the RGB levels 0..255 of ImageNet's training images, as fb.resnet.torch has them: a column a component.
_EIGENVALUES = np.array([55.46, 4.794, 1.148])
_EIGENVECTORS = np.array([[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]])


def _relight(images: Pixels, deviation: float, generator: np.random.Generator) -> Pixels:
    shifts = (generator.normal(0, deviation, (len(images), 3)) * _EIGENVALUES) @ _EIGENVECTORS.T
    levels: Pixels = np.clip(np.rint(images + shifts[:, None, None, :]), 0, 255).astype(np.uint8)
    return levels


def _restroke(pixels: Pixels, generator: np.random.Generator) -> Pixels:
    """One of: as it is, thinner or thicker, blurred; then the gray levels steepened about a random middle."""
    image = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    match generator.integers(5):
        case 0:
            image = image.filter(ImageFilter.GaussianBlur(generator.uniform(0.3, 1.0)))
        case 1:
            image = image.filter(ImageFilter.MaxFilter(3))
        case 2:
            image = image.filter(ImageFilter.MinFilter(3))
    steepness, middle = generator.uniform(1, 4), generator.uniform(80, 160)
    levels = np.clip((np.arange(256) - middle) * steepness + middle, 0, 255)
    changed: Pixels = levels.astype(np.uint8)[np.asarray(image)].reshape(pixels.shape)
    return changed


def _shift(images: Pixels, padding: int, generator: np.random.Generator) -> Pixels:
    count, height, width, _ = images.shape
    padded = np.pad(images, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    tops, lefts = generator.integers(0, 2 * padding + 1, (2, count))
    rows = tops[:, None] + np.arange(height)
    columns = lefts[:, None] + np.arange(width)
    shifted: Pixels = padded[np.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]]
    return shifted


def _recolor(images: Pixels, amount: float, generator: np.random.Generator) -> Pixels:
    brightness, contrast, saturation = 1 + generator.uniform(-amount, amount, (3, len(images), 1, 1, 1))
    values = images.astype(np.float32) * brightness
    mean = values.mean(axis=(1, 2, 3), keepdims=True)
    values = (values - mean) * contrast + mean
    if images.shape[-1] == 3:
        gray = values @ np.array([0.299, 0.587, 0.114], np.float32)
        values = gray[..., None] + (values - gray[..., None]) * saturation
    levels: Pixels = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return levels
