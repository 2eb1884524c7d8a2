"""The data sets by name: where their original files lie, their classes, and the image policy that fits them.

A set is looked for in `<data dir>/<name>/` first (its original files); where it isn't there, Keras may download it.
"""

from __future__ import annotations

import contextlib
import csv
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from artifact.card import ImagePolicy
from artifact.images.frame import Pixels
from export.data.cifar import read_cifar_archive
from export.data.class_folders import read_class_folders
from export.data.idx import read_idx
from export.data.imagenet import read_imagenet
from export.data.labels import imagenet_labels
from export.data.samples import ArraySamples, BytesSamples, FileSamples, Labels, Samples
from export.errors import DataError, UsageError, near_miss
from export.progress import say

T = TypeVar("T")

DIGITS = tuple("0123456789")
IDX_FILES = "train-images-idx3, train-labels-idx1, t10k-images-idx3, t10k-labels-idx1, each -ubyte.gz"
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
    any_size: bool = False
    """Photos of many sizes: a network takes them at its own input size."""
    split: str = "the set's own"
    """How training and test images were told apart."""

    @property
    def title(self) -> str:
        """A short name: the folder's own where the set is a folder."""
        return Path(self.name).name


def load_dataset(name: str, data_dir: Path | None, *, skip_damaged: bool = False, seen: bool = True) -> DataSet:
    """The data set called `name`, or the folder of class folders that it names.

    A folder without a split of its own is split; where the network has not `seen` any of it, all of it is for the test.
    Raises UsageError for an unknown name, DataError where its files can't be had.
    """
    if name in DATASETS:
        return DATASETS[name](data_dir)
    if (folder := Path(name)).is_dir():
        return _load_folder(folder, skip_damaged, seen)
    raise UsageError(
        f"unknown data set {name!r}{near_miss(name, DATASETS)}: there are {', '.join(DATASETS)}, "
        "or a folder of class folders"
    )


def _load_folder(folder: Path, skip_damaged: bool, seen: bool) -> DataSet:
    labels, train, test, split = read_class_folders(folder, skip_damaged=skip_damaged, seen=seen)
    policy = ImagePolicy(height=224, width=224, channels=3, fit="crop")
    return DataSet(str(folder.resolve()), labels, policy, train, test, "not stated", any_size=True, split=split)


def _load_imagenet(data_dir: Path | None) -> DataSet:
    """ILSVRC-2012; its 50,000 validation images are the test set, as in the papers."""
    if data_dir is None:
        raise DataError("imagenet needs its files: name the folder that holds imagenet/ with --data-dir")
    train, test = read_imagenet(data_dir / "imagenet")
    policy = ImagePolicy(height=224, width=224, channels=3, fit="crop")
    license = "ImageNet terms: research and education"
    return DataSet("imagenet", imagenet_labels(), policy, train, test, license, any_size=True)


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
    from export.data.drawn_digits import redraw

    digits = _load_digits(data_dir)
    assert isinstance(digits.test, ArraySamples)
    files = redraw(digits.test.images[:200], seed=0)
    samples = BytesSamples(files, digits.test.labels[:200])
    return DataSet("drawn-digits", DIGITS, digits.policy, None, samples, digits.license)


def _load_cifar10(data_dir: Path | None) -> DataSet:
    batches = [f"cifar-10-batches-py/data_batch_{i}" for i in range(1, 6)]
    return _load_cifar("cifar10", data_dir, batches, "cifar-10-batches-py/test_batch", "labels", "label_names")


def _load_cifar100(data_dir: Path | None) -> DataSet:
    return _load_cifar(
        "cifar100",
        data_dir,
        ["cifar-100-python/train"],
        "cifar-100-python/test",
        "fine_labels",
        "fine_label_names",
    )


def _load_cifar(
    name: str, data_dir: Path | None, train: list[str], test: str, labels_key: str, names_key: str
) -> DataSet:
    """The original python archive (Krizhevsky 2009), as `<data dir>/<name>/*.tar.gz` or unpacked beside it."""
    folder = test.partition("/")[0]
    archive = name.replace("cifar", "cifar-") + "-python.tar.gz"
    home = data_dir / name if data_dir is not None else None
    if home is None or not home.is_dir():
        home = _download_cifar(name, home, archive)
    meta = f"{folder}/{'batches.meta' if name == 'cifar10' else 'meta'}"
    read = read_cifar_archive(home / archive if (home / archive).is_file() else home, [*train, test, meta])
    names = tuple(read[meta][names_key])
    splits = []
    for parts in (train, [test]):
        planes = np.concatenate([read[part]["data"] for part in parts]).reshape(-1, 3, 32, 32)
        labels = np.concatenate([read[part][labels_key] for part in parts])
        splits.append(_pair(np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), labels))
    policy = ImagePolicy(height=32, width=32, channels=3)
    return DataSet(name, names, policy, splits[0], splits[1], "none stated; for research")


def _download_cifar(name: str, home: Path | None, archive: str) -> Path:
    import keras

    address = f"https://www.cs.toronto.edu/~kriz/{archive}"
    file = _download(
        lambda: keras.utils.get_file(archive, origin=address, cache_subdir=f"datasets/{name}"),
        *(name, home, address, f"the original {archive}"),
    )
    return Path(file).parent


def _download(fetch: Callable[[], T], name: str, home: Path | None, what: str, files: str) -> T:
    """What `fetch` gives, since `home` isn't there. Raises DataError with the cause, and where to lay the `files`."""
    where = f"{home} is not there" if home is not None else "no --data-dir or CONVSERVE_DATA_DIR was given"
    say(f"{name}: {where}; downloading it")
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # Keras' own progress
            return fetch()
    except Exception as error:
        raise DataError(
            f"{name}: {where}, and {what} could not be downloaded ({_find_cause(error)}): "
            f"lay {files} into {home or f'<data dir>/{name}'}/"
        ) from error


def _find_cause(error: BaseException) -> str:
    """Why a download failed, in a line: Keras wraps the network's own error in a plain Exception."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__  # type: ignore[assignment]
    reason = getattr(error, "strerror", None) or getattr(error, "reason", None) or str(error)
    return str(reason).strip().partition("\n")[0] or type(error).__name__


DATASETS: dict[str, Callable[[Path | None], DataSet]] = {
    "digits": _load_digits,
    "mnist": _load_mnist,
    "fashion-mnist": _load_fashion_mnist,
    "cifar10": _load_cifar10,
    "cifar100": _load_cifar100,
    "imagenet": _load_imagenet,
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
    train, test = _download(module.load_data, name, folder, "it", f"the four original files ({IDX_FILES})")
    return _pair(*train), _pair(*test)


def _pair(images: Pixels, labels: Labels) -> ArraySamples:
    if len(images) != len(labels):
        raise DataError(f"{len(images):,} images but {len(labels):,} labels: the files don't belong together")
    return ArraySamples(images, labels)
