"""Any folder of class folders as a data set: its split, its check for damaged files.

pets/cat/*.jpg  pets/dog/*.jpg                     a split is made: a fifth of each class to test on
pets/train/cat/*.jpg ...  pets/test/cat/*.jpg ...  the folder's own split (val, valid or validation do as well)
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from app.errors import ConvserveError
from app.images import open_image
from export.errors import DataError
from export.progress import Progress, say
from export.samples import FileSamples

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif")
TEST_FOLDERS = ("test", "val", "valid", "validation")
TEST_SHARE = 0.2


def find_images(folder: Path) -> list[Path]:
    """Every image file below `folder`, by its suffix, in a fixed order."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())


def read_class_folders(
    folder: Path, *, skip_damaged: bool = False, seen: bool = True
) -> tuple[tuple[str, ...], FileSamples, FileSamples, str]:
    """Class names, training and test samples of a folder of class folders, and how it was split.

    Where there is no split and the network has not `seen` any of these images, all of them are test samples.

    Raises DataError for fewer than two classes, a class without images, or (unless `skip_damaged`) images that can't
    be decoded: it lists them.
    """
    train, own = _own_split(folder)
    labels = _classes(train)
    if own is None:
        files = _label(train, labels)
        held_out = [_is_held_out(path.relative_to(train)) for path, _ in files]
        trained = [file for file, out in zip(files, held_out, strict=True) if not out]
        tested = [file for file, out in zip(files, held_out, strict=True) if out]
    else:
        trained, tested = _label(train, labels), _label(own, labels)
    damaged = _find_damaged([path for path, _ in trained + tested])
    if damaged and not skip_damaged:
        raise DataError(
            f"{len(damaged)} images of {folder} can't be decoded: {_list(damaged)}. "
            "Remove them, or leave them out with --skip-damaged"
        )
    if damaged:
        say(f"left out {len(damaged)} damaged images: {_list(damaged)}")
    trained = [file for file in trained if file[0] not in damaged]
    tested = [file for file in tested if file[0] not in damaged]
    if own is None and not seen:
        return labels, _samples(trained), _samples(trained + tested), "all of it to test on"
    if not tested:
        raise DataError(f"{folder} has too few images to hold some back for the test: add images, or a test/ folder")
    split = "the folder's own" if own else f"{TEST_SHARE:.0%} to test on, by a hash of the file name"
    return labels, _samples(trained), _samples(tested), split


def _own_split(folder: Path) -> tuple[Path, Path | None]:
    """The folders to train and to test on; None for the latter where a split must be made."""
    if not (folder / "train").is_dir():
        return folder, None
    for name in TEST_FOLDERS:
        if (folder / name).is_dir():
            return folder / "train", folder / name
    raise DataError(f"{folder} has train/ but none of {', '.join(f'{name}/' for name in TEST_FOLDERS)}")


def _classes(folder: Path) -> tuple[str, ...]:
    labels = tuple(sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and entry.name[0] != "."))
    if len(labels) < 2:
        raise DataError(f"{folder} has {len(labels)} class folders: a classifier needs at least 2, one a class")
    return labels


def _label(folder: Path, labels: tuple[str, ...]) -> list[tuple[Path, int]]:
    files = [(path, index) for index, name in enumerate(labels) for path in find_images(folder / name)]
    filled = {index for _, index in files}
    empty = [name for index, name in enumerate(labels) if index not in filled]
    if empty:
        raise DataError(f"{folder}: no images in {', '.join(empty)}: fill or remove these class folders")
    return files


def _is_held_out(path: Path) -> bool:
    """By a hash of the name alone: the split stays as it is when images are added."""
    digest = hashlib.sha256(path.as_posix().encode()).digest()
    return int.from_bytes(digest[:4], "big") < TEST_SHARE * 2**32


def _find_damaged(paths: Sequence[Path]) -> set[Path]:
    def is_damaged(path: Path) -> bool:
        try:
            open_image(path.read_bytes())
        except (ConvserveError, OSError):
            return True
        return False

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


def _samples(files: list[tuple[Path, int]]) -> FileSamples:
    return FileSamples([path for path, _ in files], [label for _, label in files])
