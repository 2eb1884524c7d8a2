"""ILSVRC-2012 as it is distributed: the official tars, or folders of the 1,000 synsets. Images are read where they lie.

<data dir>/imagenet/train/n01440764/*.JPEG  and  val/n01440764/*.JPEG
<data dir>/imagenet/ILSVRC2012_img_train.tar  ILSVRC2012_img_val.tar  ILSVRC2012_devkit_t12.tar.gz
"""

from __future__ import annotations

import contextlib
import io
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from export.data.class_folders import label_images
from export.data.folder_layout import LeftOut
from export.data.labels import imagenet_synsets
from export.data.samples import FileSamples, Samples
from export.data.stored.packed import PackedSamples
from export.data.stored.tar_walk import walk_tar
from export.errors import DataError
from export.progress import say

TRAIN, VALIDATION = "ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar"
DEVKIT = "ILSVRC2012_devkit_t12.tar.gz"
_TRUTH = "ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt"
_META = "ILSVRC2012_devkit_t12/data/meta.mat"
_REPLACE = "replace it by the original file"


def read_imagenet(folder: Path) -> tuple[Samples, Samples]:
    """Training and validation samples, classes in the usual order. Raises DataError naming what is missing or can't be
    read.
    """
    if (folder / "train").is_dir() and (folder / "val").is_dir():
        return _read_folders(folder / "train"), _read_folders(folder / "val")
    classes = {synset: index for index, synset in enumerate(imagenet_synsets())}
    missing = [name for name in (TRAIN, VALIDATION, DEVKIT) if not (folder / name).is_file()]
    if missing:
        raise DataError(
            f"{folder} has neither train/ and val/ with a folder for each synset, nor {', '.join(missing)}: "
            "put the official files or folders there"
        )
    return _read_training_tar(folder / TRAIN, classes), _read_validation_tar(folder, classes)


def _read_folders(folder: Path) -> FileSamples:
    left_out = LeftOut()
    files = label_images(folder, imagenet_synsets(), left_out)
    left_out.tell(folder)
    if not files:
        raise DataError(f"{folder} has no images in folders named for synsets, such as n01440764")
    return FileSamples([path for path, _ in files], [label for _, label in files])


def _read_training_tar(archive: Path, classes: dict[str, int]) -> PackedSamples:
    """A tar of one tar a synset."""
    places, labels, names, others = [], [], [], 0
    with _name_damaged(archive), archive.open("rb") as file:
        for outer, synset in walk_tar(file, archive.name):
            name = Path(synset.name).stem
            inner = outer.extractfile(synset)
            if inner is None or name not in classes:
                others += inner is not None
                continue
            for _, image in walk_tar(inner, f"{archive.name}/{synset.name}"):
                if image.isfile():
                    places.append((0, synset.offset_data + image.offset_data, image.size))
                    labels.append(classes[name])
                    names.append(f"{synset.name}/{image.name}")
    if others:
        say(f"left out {others:,} files in {archive.name} that are not named for a synset")
    if not places:
        raise DataError(f"{archive.name} has no tars named for synsets, such as n01440764.tar: {_REPLACE}")
    return PackedSamples([archive], np.array(places, np.int64), labels, names)


def _read_validation_tar(folder: Path, classes: dict[str, int]) -> PackedSamples:
    """A flat tar, in the order of its file names; their classes stand in the development kit."""
    with _name_damaged(folder / VALIDATION), (folder / VALIDATION).open("rb") as file:
        images = sorted(
            (image for _, image in walk_tar(file, VALIDATION) if image.isfile()), key=lambda image: image.name
        )
    labels = _read_devkit(folder / DEVKIT, classes)
    if len(labels) != len(images):
        raise DataError(f"{VALIDATION} has {len(images):,} images, {DEVKIT} names {len(labels):,} classes")
    places = np.array([(0, image.offset_data, image.size) for image in images], np.int64)
    return PackedSamples([folder / VALIDATION], places, labels, [image.name for image in images])


def _read_devkit(archive: Path, classes: dict[str, int]) -> list[int]:
    """The class of each validation image."""
    from scipy.io import loadmat

    with _name_damaged(archive), tarfile.open(archive, "r:gz") as tar:
        try:
            files = {name: tar.extractfile(name) for name in (_TRUTH, _META)}
        except KeyError as error:
            raise DataError(f"{archive.name} lacks {error.args[0]}: it is not the development kit of 2012") from error
        text, meta = (file.read() if file is not None else b"" for file in files.values())
    try:
        table = loadmat(io.BytesIO(meta), squeeze_me=True)["synsets"]
        synsets = {int(row["ILSVRC2012_ID"]): str(row["WNID"]) for row in table}
        return [classes[synsets[int(number)]] for number in text.split()]
    except Exception as error:  # a damaged file fails in many ways
        raise DataError(f"{archive.name} is not the development kit of 2012 ({error}): {_REPLACE}") from error


@contextlib.contextmanager
def _name_damaged(archive: Path) -> Iterator[None]:
    """What a damaged archive ends in becomes one line."""
    try:
        yield
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise DataError(f"{archive.name} can't be read ({error}): {_REPLACE}") from error
