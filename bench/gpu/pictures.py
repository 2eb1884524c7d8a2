"""The images that are measured with: an artifact's own golden ones."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from artifact.golden import read_golden
from artifact.images.decode import decode_image
from artifact.images.frame import Pixels
from bench.gpu.plan import Opened


def golden_files(opened: Opened) -> list[bytes]:
    return list(read_golden(opened.folder, opened.card).images.values())


def golden_rows(opened: Opened) -> list[Pixels]:
    """uint8 [height, width, channels] each, by the serving decoder."""
    return [decode_image(image, opened.card.image) for image in golden_files(opened)]


def golden_probabilities(opened: Opened) -> npt.NDArray[np.float32]:
    """[n, classes]: what the exported graph gave where it was made."""
    return read_golden(opened.folder, opened.card).graph


def random_rows(opened: Opened, count: int) -> list[Pixels]:
    """uint8 [height, width, channels] each, the same each time."""
    generator = np.random.default_rng(0)
    return list(generator.integers(0, 256, (count, *opened.card.image.shape), dtype=np.uint8))
