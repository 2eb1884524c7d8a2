"""The data sets by name: where their original files lie, their classes, and the image policy that fits them.

A set is looked for in `<data dir>/<name>/` first (its original files); where it isn't there, Keras may download it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np

from artifact.errors import near_miss
from artifact.image_policy import ImagePolicy
from export.data.class_folders import list_class_folders
from export.data.classic.cifar import Cifar, read_cifar10, read_cifar100
from export.data.classic.idx import read_four_files
from export.data.classic.imagenet import read_imagenet
from export.data.labels import imagenet_labels
from export.data.samples import ArraySamples, BytesSamples, FileSamples, Samples
from export.data.stored.divide import divide
from export.data.stored.find import is_stored, name_set, read_stored
from export.data.stored.manifest import read_rows
from export.errors import DataError, UsageError

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
    any_size: bool = False
    """Photos of many sizes: a network takes them at its own input size."""
    split: str = "the set's own"
    """How training and test images were told apart."""

    @property
    def title(self) -> str:
        """A short name: the folder's or the file's own where the set is one."""
        return name_set(Path(self.name))

    @cached_property
    def images_digest(self) -> str:
        """A digest of what decides which images train and which validate: their names and classes, in their order.
        Empty where there are only images to measure on.
        """
        if self.train is None:
            return ""
        digest = hashlib.sha256(self.train.labels.tobytes())
        for index in range(len(self.train)):
            digest.update(self.train.name(index).encode("utf-8", "surrogateescape") + b"\n")
        return digest.hexdigest()


def load_dataset(name: str, data_dir: Path | None, *, skip_damaged: bool = False, seen: bool = True) -> DataSet:
    """The data set called `name`, or the one at that path: a folder of class folders, a .csv manifest, a .parquet file
    or a .tar, or a folder of one of the last two.

    A set without a split of its own is split; where the network has not `seen` any of it, all of it is for the test.
    Raises UsageError for an unknown name, DataError where its files can't be had.
    """
    if name in DATASETS:
        return DATASETS[name](data_dir)
    path = Path(name)
    if is_stored(path):
        listing = read_stored(path, seen=seen)
    elif path.is_dir():
        listing = list_class_folders(path)
    else:
        raise UsageError(
            f"{_explain_unknown(name, path)}: name one of {', '.join(DATASETS)}, a folder of class folders, a .csv "
            "manifest, or .parquet or .tar files or a folder of them"
        )
    labels, train, test, split = divide(name, listing, skip_damaged=skip_damaged, seen=seen)
    policy = ImagePolicy(height=224, width=224, channels=3, fit="crop")
    return DataSet(str(path.resolve()), labels, policy, train, test, "not stated", any_size=True, split=split)


def _explain_unknown(name: str, path: Path) -> str:
    if path.exists():
        return f"the file {name} is no data set"
    return f"no folder {name.rstrip('/')}/ and no data set of that name{near_miss(name, DATASETS)}"


def _load_imagenet(data_dir: Path | None) -> DataSet:
    """ILSVRC-2012; its 50,000 validation images are the test set, as in the papers."""
    if data_dir is None:
        raise DataError("imagenet needs its files: name the folder that contains imagenet/ with --data-dir")
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
    train, test = read_four_files("mnist", data_dir)
    return DataSet("mnist", DIGITS, policy, train, test, "CC BY-SA 3.0")


def _load_fashion_mnist(data_dir: Path | None) -> DataSet:
    policy = ImagePolicy(height=28, width=28, channels=1)
    train, test = read_four_files("fashion-mnist", data_dir)
    return DataSet("fashion-mnist", FASHION, policy, train, test, "MIT")


def _load_photos(data_dir: Path | None) -> DataSet:
    """A folder of labeled ImageNet photos with labels.csv (filename, class_index): only to measure on."""
    folder = (data_dir or Path()) / "photos"
    table = folder / "labels.csv"
    if data_dir is None or not table.is_file():
        raise DataError(
            "the data set photos needs a folder with photos/labels.csv: name it with --data-dir or CONVSERVE_DATA_DIR"
        )
    rows, labels = read_rows(table, ("filename", "class_index", "split")), imagenet_labels()
    for row in rows:
        if not row.label.isdecimal() or int(row.label) >= len(labels):
            raise DataError(
                f"{table}, line {row.line}: the class_index {row.label!r} is no whole number from 0 to "
                f"{len(labels) - 1}"
            )
    samples = FileSamples([folder / row.path for row in rows], [int(row.label) for row in rows])
    policy = ImagePolicy(height=224, width=224, channels=3, fit="crop")
    return DataSet("photos", labels, policy, None, samples, "ImageNet terms: research and education")


def _load_drawn_digits(data_dir: Path | None) -> DataSet:
    """200 test digits redrawn as people draw them: dark on white paper, any size, any margin. Only to measure on."""
    from export.data.classic.drawn_digits import redraw

    digits = _load_digits(data_dir)
    assert isinstance(digits.test, ArraySamples)
    files = redraw(digits.test.images[:200], seed=0)
    samples = BytesSamples(files, digits.test.labels[:200])
    return DataSet("drawn-digits", DIGITS, digits.policy, None, samples, digits.license)


def _load_cifar(name: str, read: Callable[[Path | None], Cifar], data_dir: Path | None) -> DataSet:
    labels, train, test = read(data_dir)
    policy = ImagePolicy(height=32, width=32, channels=3)
    return DataSet(name, labels, policy, train, test, "none stated; for research")


DATASETS: dict[str, Callable[[Path | None], DataSet]] = {
    "digits": _load_digits,
    "mnist": _load_mnist,
    "fashion-mnist": _load_fashion_mnist,
    "cifar10": partial(_load_cifar, "cifar10", read_cifar10),
    "cifar100": partial(_load_cifar, "cifar100", read_cifar100),
    "imagenet": _load_imagenet,
    "drawn-digits": _load_drawn_digits,
    "photos": _load_photos,
}
