"""The data sets by name: where their original files lie, their classes, and the image policy that fits them.

A set is looked for in `<data dir>/<name>/` first (its original files); where it isn't there, Keras may download it.
"""

from __future__ import annotations

import csv
import difflib
import gzip
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from app.card import ImagePolicy
from app.images import Pixels
from export.errors import DataError, UsageError
from export.samples import ArraySamples, BytesSamples, FileSamples, Labels, Samples

DIGITS = tuple("0123456789")
FASHION = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


@dataclass(frozen=True)
class DataSet:
    """A labeled set with its own split; `train` is None where there are only images to measure on."""

    name: str
    labels: tuple[str, ...]
    policy: ImagePolicy
    train: Samples | None
    test: Samples
    license: str


def load_dataset(name: str, data_dir: Path | None) -> DataSet:
    """The data set called `name`. Raises UsageError for an unknown name, DataError where its files can't be had."""
    if name not in DATASETS:
        near = difflib.get_close_matches(name, DATASETS, n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise UsageError(f"unknown data set {name!r}{hint}: there are {', '.join(DATASETS)}")
    return DATASETS[name](data_dir)


def _load_digits(data_dir: Path | None) -> DataSet:
    """1,797 digits of 8x8 pixels, bundled with scikit-learn (Alpaydin, Kaynak 1998): 1,437 to train, 360 to test."""
    from sklearn.datasets import load_digits

    bundle = load_digits()
    images = np.rint(bundle.images * (255 / 16)).astype(np.uint8)
    order = np.random.default_rng(0).permutation(len(images))  # the file is sorted by writer
    test, train = order[:360], order[360:]
    policy = ImagePolicy(height=28, width=28, channels=1, fit="content", polarity="light-on-dark")
    return DataSet(
        "digits",
        DIGITS,
        policy,
        ArraySamples(images[train], bundle.target[train]),
        ArraySamples(images[test], bundle.target[test]),
        "CC BY 4.0",
    )


def _load_mnist(data_dir: Path | None) -> DataSet:
    # 20x20 pixels of ink in 28x28 (LeCun et al. 1998): a margin of 4 on each side.
    policy = ImagePolicy(height=28, width=28, channels=1, fit="content", margin=4 / 28, polarity="light-on-dark")
    train, test = _load_idx("mnist", data_dir)
    return DataSet("mnist", DIGITS, policy, train, test, "CC BY-SA 3.0")


def _load_fashion_mnist(data_dir: Path | None) -> DataSet:
    policy = ImagePolicy(height=28, width=28, channels=1)
    train, test = _load_idx("fashion-mnist", data_dir)
    return DataSet("fashion-mnist", FASHION, policy, train, test, "MIT")


def _load_photos(data_dir: Path | None) -> DataSet:
    """A folder of labeled ImageNet photos with labels.csv (filename, class_index): only to measure on."""
    from export.labels import imagenet_labels

    folder = (data_dir or Path()) / "photos"
    table = folder / "labels.csv"
    if data_dir is None or not table.is_file():
        raise DataError(
            "the photos need their folder: name the one that holds photos/labels.csv with --data-dir "
            "or CONVSERVE_DATA_DIR"
        )
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    samples = FileSamples([folder / row["filename"] for row in rows], [int(row["class_index"]) for row in rows])
    policy = ImagePolicy(height=224, width=224, channels=3, fit="crop")
    return DataSet("photos", imagenet_labels(), policy, None, samples, "ImageNet terms: research and education")


def _load_drawn_digits(data_dir: Path | None) -> DataSet:
    """200 test digits redrawn as people draw them: dark on white paper, any size, any margin. Only to measure on."""
    from export.drawing import redraw

    digits = _load_digits(data_dir)
    assert isinstance(digits.test, ArraySamples)
    files = redraw(digits.test.images[:200], seed=0)
    samples = BytesSamples(files, digits.test.labels[:200])
    return DataSet("drawn-digits", DIGITS, digits.policy, None, samples, digits.license)


DATASETS: dict[str, Callable[[Path | None], DataSet]] = {
    "digits": _load_digits,
    "mnist": _load_mnist,
    "fashion-mnist": _load_fashion_mnist,
    "drawn-digits": _load_drawn_digits,
    "photos": _load_photos,
}


def _load_idx(name: str, data_dir: Path | None) -> tuple[ArraySamples, ArraySamples]:
    """The four original idx files of MNIST's layout, else Keras' download of the same set."""
    folder = data_dir / name if data_dir is not None else None
    if folder is not None and folder.is_dir():
        return tuple(  # type: ignore[return-value]
            _pair(
                read_idx(folder / f"{split}-images-idx3-ubyte.gz"), read_idx(folder / f"{split}-labels-idx1-ubyte.gz")
            )
            for split in ("train", "t10k")
        )
    import keras

    module = keras.datasets.mnist if name == "mnist" else keras.datasets.fashion_mnist
    try:
        train, test = module.load_data()
    except Exception as error:
        where = f"{folder} is not there" if folder is not None else "no --data-dir or CONVSERVE_DATA_DIR was given"
        raise DataError(
            f"{name}: {where}, and Keras could not download it ({type(error).__name__}): lay the four original files "
            f"({'train'}-images-idx3-ubyte.gz and so on) into <data dir>/{name}/"
        ) from error
    return _pair(*train), _pair(*test)


def _pair(images: Pixels, labels: Labels) -> ArraySamples:
    if len(images) != len(labels):
        raise DataError(f"{len(images):,} images but {len(labels):,} labels: the files don't belong together")
    return ArraySamples(images, labels)


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
