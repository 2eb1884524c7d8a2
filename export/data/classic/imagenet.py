"""ILSVRC-2012 as it is distributed: the official tars, or folders of the 1,000 synsets. Images are read where they lie.

<data dir>/imagenet/train/n01440764/*.JPEG  and  val/n01440764/*.JPEG
<data dir>/imagenet/ILSVRC2012_img_train.tar  ILSVRC2012_img_val.tar  ILSVRC2012_devkit_t12.tar.gz
"""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np

from export.data.folder_layout import find_images
from export.data.labels import imagenet_synsets
from export.data.samples import FileSamples, Samples
from export.data.stored.packed import PackedSamples
from export.errors import DataError

TRAIN, VALIDATION = "ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar"
DEVKIT = "ILSVRC2012_devkit_t12.tar.gz"
_TRUTH = "ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt"
_META = "ILSVRC2012_devkit_t12/data/meta.mat"


def read_imagenet(folder: Path) -> tuple[Samples, Samples]:
    """Training and validation samples, classes in the usual order. Raises DataError naming what is missing."""
    classes = {synset: index for index, synset in enumerate(imagenet_synsets())}
    if (folder / "train").is_dir() and (folder / "val").is_dir():
        return _read_folders(folder / "train", classes), _read_folders(folder / "val", classes)
    missing = [name for name in (TRAIN, VALIDATION, DEVKIT) if not (folder / name).is_file()]
    if missing:
        raise DataError(
            f"{folder} has neither train/ and val/ with a folder for each synset, nor {', '.join(missing)}: "
            "put the official files or folders there"
        )
    return _read_training_tar(folder / TRAIN, classes), _read_validation_tar(folder, classes)


def _read_folders(folder: Path, classes: dict[str, int]) -> FileSamples:
    files = [
        (path, classes[entry.name])
        for entry in sorted(folder.iterdir())
        if entry.name in classes
        for path in find_images(entry)
    ]
    if not files:
        raise DataError(f"{folder} has no images in folders named for synsets, such as n01440764")
    return FileSamples([path for path, _ in files], [label for _, label in files])


def _read_training_tar(archive: Path, classes: dict[str, int]) -> PackedSamples:
    """A tar of one tar a synset."""
    places, labels, names = [], [], []
    with tarfile.open(archive, "r:") as outer:
        for synset in outer:
            name = Path(synset.name).stem
            inner = outer.extractfile(synset)
            if inner is None or name not in classes:
                continue
            with tarfile.open(fileobj=inner, mode="r:") as images:
                for image in images:
                    if image.isfile():
                        places.append((0, synset.offset_data + image.offset_data, image.size))
                        labels.append(classes[name])
                        names.append(f"{synset.name}/{image.name}")
    return PackedSamples([archive], np.array(places, np.int64), labels, names)


def _read_validation_tar(folder: Path, classes: dict[str, int]) -> PackedSamples:
    """A flat tar, in the order of its file names; their classes stand in the development kit."""
    with tarfile.open(folder / VALIDATION, "r:") as tar:
        images = sorted((image for image in tar if image.isfile()), key=lambda image: image.name)
    truth, synsets = _read_devkit(folder / DEVKIT)
    if len(truth) != len(images):
        raise DataError(f"{VALIDATION} has {len(images):,} images, {DEVKIT} names {len(truth):,} classes")
    places = np.array([(0, image.offset_data, image.size) for image in images], np.int64)
    labels = [classes[synsets[number]] for number in truth]
    return PackedSamples([folder / VALIDATION], places, labels, [image.name for image in images])


def _read_devkit(archive: Path) -> tuple[list[int], dict[int, str]]:
    """The class number of each validation image, and the synset of each class number."""
    from scipy.io import loadmat

    with tarfile.open(archive, "r:gz") as tar:
        try:
            files = {name: tar.extractfile(name) for name in (_TRUTH, _META)}
        except KeyError as error:
            raise DataError(f"{archive.name} lacks {error.args[0]}: it is not the development kit of 2012") from error
        text, meta = (file.read() for file in files.values() if file is not None)
    table = loadmat(io.BytesIO(meta), squeeze_me=True)["synsets"]
    return list(map(int, text.split())), {int(row["ILSVRC2012_ID"]): str(row["WNID"]) for row in table}
