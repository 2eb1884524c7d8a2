"""LeCun's idx files, in which MNIST and its successors come."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np

from artifact.images.frame import Pixels
from export.errors import DataError


def read_idx(path: Path) -> Pixels:
    """A gzipped idx file of unsigned bytes (LeCun's format): uint8 of the shape that its header says."""
    try:
        data = gzip.decompress(path.read_bytes())
    except (OSError, EOFError) as error:
        raise DataError(f"{path.name} can't be read ({error}): lay the original file in its place") from error
    if len(data) < 4 or data[:3] != b"\0\0\x08":
        raise DataError(f"{path.name} is no idx file of unsigned bytes (it begins {data[:4].hex(' ')})")
    dimensions = data[3]
    shape = np.frombuffer(data, ">i4", dimensions, offset=4)
    body = np.frombuffer(data, np.uint8, offset=4 + 4 * dimensions)
    if body.size != shape.prod():
        raise DataError(f"{path.name} holds {body.size:,} values, its header says {shape.prod():,}: it is damaged")
    return body.reshape(tuple(shape))
