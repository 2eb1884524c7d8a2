"""Any folder of class folders as a data set: its split, its check for damaged files.

pets/cat/*.jpg  pets/dog/*.jpg                     a split is made: a fifth of each class to test on
pets/train/cat/*.jpg ...  pets/test/cat/*.jpg ...  the folder's own split (export/data/folder_layout.py: other names)
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from artifact.errors import ConvserveError
from artifact.images.decode import open_image
from export.data.folder_layout import LeftOut, count_loose, find_images, read_layout, visible_folders
from export.data.holdout import hold_out
from export.data.samples import FileSamples
from export.errors import DataError
from export.progress import Progress, say

TEST_SHARE = 0.2

File = tuple[Path, int]
"""An image and its class."""


def read_class_folders(
    folder: Path, *, skip_damaged: bool = False, seen: bool = True
) -> tuple[tuple[str, ...], FileSamples, FileSamples, str]:
    """Class names, training and test samples of a folder of class folders, and how it was split.

    Where there is no split and the network has not `seen` any of these images, all of them are test samples; classes
    without images are kept then.

    Raises DataError for fewer than two classes, and (unless `skip_damaged`, which leaves them out) for classes without
    images and images that can't be decoded: it lists both.
    """
    layout, left_out = read_layout(folder), LeftOut()
    train, own = layout.train, layout.test
    names = _class_names(train)
    trained = _label(train, names, left_out)
    tested = _label(own, names, left_out) if own is not None else []
    if train != folder:
        count_loose(folder, left_out)
    left_out.tell(folder)
    damaged = _find_damaged([path for path, _ in trained + tested])
    trained = [file for file in trained if file[0] not in damaged]
    tested = [file for file in tested if file[0] not in damaged]
    empty = _find_empty(names, trained)
    untested = [name for name in _find_empty(names, tested) if name not in empty] if own is not None else []
    filled = tuple(name for name in names if name not in empty)
    if len(filled) < 2:
        undecoded = f" ({len(damaged):,} can't be decoded: {_list(damaged)})" if damaged else ""
        raise DataError(f"{folder}: only {len(filled)} classes hold images{undecoded}: a classifier needs at least 2")
    _report(folder, damaged, empty, untested, skip_damaged, seen)
    labels = filled if seen else names  # a network that is measured here knows the empty class
    trained, tested = _relabel(trained, names, labels), _relabel(tested, names, labels)
    if own is None and not seen:
        return labels, _samples(trained), _samples(trained), "all of it to test on"
    if own is None:
        trained, tested = _split(trained, train)
    if not tested:
        raise DataError(f"{folder} has too few images to hold some back for the test: add images, or a test/ folder")
    split = "the folder's own" if own else f"{TEST_SHARE:.0%} of each class to test on, by a hash of the file name"
    return labels, _samples(trained), _samples(tested), split


def _report(folder: Path, damaged: set[Path], empty: list[str], untested: list[str], skip: bool, seen: bool) -> None:
    """Say what is left out, or raise DataError that lists it all."""
    found = []
    if damaged:
        found.append(f"{len(damaged)} images can't be decoded: {_list(damaged)}")
    if empty:
        found.append(f"no images in {', '.join(empty)}")
    if untested:
        found.append(f"no test images of {', '.join(untested)}")
    if found and not skip:
        raise DataError(f"{folder}: {'; '.join(found)}. Remove or fill them, or go on without them with --skip-damaged")
    if damaged:
        say(f"left out {len(damaged)} damaged images: {_list(damaged)}")
    if empty and seen:
        say(f"left out {len(empty)} classes without images: {', '.join(empty)}")
    elif empty:
        say(f"no images of {', '.join(empty)}: their accuracy stays unknown")
    if untested:
        say(f"no test images of {', '.join(untested)}: their accuracy stays unknown")


def _class_names(folder: Path) -> tuple[str, ...]:
    names = tuple(entry.name for entry in visible_folders(folder))
    if len(names) < 2:
        raise DataError(f"{folder} has {len(names)} class folders: a classifier needs at least 2, one a class")
    return names


def _label(folder: Path, names: tuple[str, ...], left_out: LeftOut) -> list[File]:
    """The images of each class; those that lie elsewhere are told."""
    files = [(path, index) for index, name in enumerate(names) for path in find_images(folder / name, left_out)]
    for entry in visible_folders(folder):
        if entry.name not in names and (count := len(find_images(entry))):
            say(f"left out {count:,} images in {folder.name}/{entry.name}/: no class to train on is called so")
    count_loose(folder, left_out)
    return files


def _find_empty(names: tuple[str, ...], files: list[File]) -> list[str]:
    filled = {index for _, index in files}
    return [name for index, name in enumerate(names) if index not in filled]


def _relabel(files: list[File], names: tuple[str, ...], labels: tuple[str, ...]) -> list[File]:
    """The files of the classes `labels`, numbered by them."""
    places = {label: index for index, label in enumerate(labels)}
    return [(path, places[names[index]]) for path, index in files if names[index] in places]


def _split(files: list[File], folder: Path) -> tuple[list[File], list[File]]:
    """Files to train (two of a class at least, one of them to validate on) and to test on."""
    draws = np.array([_draw(path.relative_to(folder)) for path, _ in files])
    held_out = hold_out(draws, np.array([label for _, label in files]), TEST_SHARE, leave=2)
    pairs = list(zip(files, held_out, strict=True))
    return [file for file, out in pairs if not out], [file for file, out in pairs if out]


def _draw(path: Path) -> float:
    """0..1 by a hash of the name alone: the split stays as it is when images are added."""
    digest = hashlib.sha256(path.as_posix().encode()).digest()
    return int.from_bytes(digest[:4], "big") / 2**32


def _find_damaged(paths: Sequence[Path]) -> set[Path]:
    def is_damaged(path: Path) -> bool:
        try:
            open_image(path.read_bytes())
        except (ConvserveError, OSError):
            return True
        return False

    if not paths:
        return set()
    damaged = set()
    with Progress("checking", len(paths)) as progress, ThreadPoolExecutor() as pool:
        for path, bad in zip(paths, pool.map(is_damaged, paths), strict=True):
            if bad:
                damaged.add(path)
            progress.advance()
    return damaged


def _list(paths: set[Path]) -> str:
    shown = [f"{path.parent.name}/{path.name}" for path in sorted(paths)]
    return ", ".join(shown[:10]) + (f" and {len(shown) - 10} more" if len(shown) > 10 else "")


def _samples(files: list[File]) -> FileSamples:
    return FileSamples([path for path, _ in files], [label for _, label in files])
