"""LeCun's idx files, in which MNIST and its successors come."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import numpy as np

from artifact.images.frame import Pixels
from export.data.classic.download import download
from export.data.samples import ArraySamples
from export.errors import DataError

FOUR_FILES = "train-images-idx3, train-labels-idx1, t10k-images-idx3, t10k-labels-idx1, each -ubyte.gz"


def read_idx(path: Path) -> Pixels:
    """A gzipped idx file of unsigned bytes (LeCun's format): uint8 of the shape that its header says."""
    try:
        data = gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path.name} can't be read ({error}): replace it by the original file") from error
    if len(data) < 4 or data[:3] != b"\0\0\x08":
        raise DataError(
            f"{path.name} is not an idx file of unsigned bytes (it begins with {data[:4].hex(' ')}): replace it by the "
            "original file"
        )
    dimensions = data[3]
    if len(data) < 4 + 4 * dimensions:
        raise DataError(f"{path.name} ends within its header: replace it by the original file")
    shape = np.frombuffer(data, ">i4", dimensions, offset=4)
    body = np.frombuffer(data, np.uint8, offset=4 + 4 * dimensions)
    if body.size != shape.prod() or (shape < 0).any():
        raise DataError(
            f"{path.name} holds {body.size:,} values, its header says {shape.prod():,}: replace it by the original file"
        )
    return body.reshape(tuple(shape))


def read_four_files(name: str, data_dir: Path | None) -> tuple[ArraySamples, ArraySamples]:
    """Training and test images from the four original files of MNIST's layout, else from Keras' download of the set.

    `name` is mnist or fashion-mnist. Raises DataError where neither can be had.
    """
    folder = data_dir / name if data_dir is not None else None
    if folder is not None and folder.is_dir():
        train, test = (
            (read_idx(folder / f"{part}-images-idx3-ubyte.gz"), read_idx(folder / f"{part}-labels-idx1-ubyte.gz"))
            for part in ("train", "t10k")
        )
    else:
        import keras

        module = keras.datasets.mnist if name == "mnist" else keras.datasets.fashion_mnist
        train, test = download(module.load_data, name, folder, "it", f"the four original files ({FOUR_FILES})")
    return ArraySamples(*train), ArraySamples(*test)
