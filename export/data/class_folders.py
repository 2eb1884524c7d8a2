"""Any folder of class folders as a data set.

pets/cat/*.jpg  pets/dog/*.jpg                     a split is made: a fifth of each class to test on
pets/train/cat/*.jpg ...  pets/test/cat/*.jpg ...  the folder's own split (export/data/folder_layout.py: other names)
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from export.data.folder_layout import LeftOut, count_loose, find_images, read_layout, visible_folders
from export.data.samples import FileSamples
from export.data.stored.listing import Listing
from export.errors import DataError
from export.progress import say

File = tuple[Path, int]
"""An image and its class."""


def list_class_folders(folder: Path) -> Listing:
    """The images of a folder of class folders. Raises DataError for fewer than two of them."""
    layout, left_out = read_layout(folder), LeftOut()
    train, own = layout.train, layout.test
    classes = _class_names(train)
    trained = label_images(train, classes, left_out)
    tested = label_images(own, classes, left_out) if own is not None else []
    if train != folder:
        count_loose(folder, left_out)
    left_out.tell(folder)
    files = trained + tested
    names = [path.relative_to(train).as_posix() for path, _ in trained]
    names += [path.relative_to(own).as_posix() for path, _ in tested] if own is not None else []
    samples = FileSamples([path for path, _ in files], [label for _, label in files])
    held = np.arange(len(files)) >= len(trained) if own is not None else None
    return Listing(samples, names, classes, held)


def _class_names(folder: Path) -> tuple[str, ...]:
    names = tuple(entry.name for entry in visible_folders(folder))
    if len(names) < 2:
        held = f"only one class folder, {names[0]}" if names else "no class folders"
        raise DataError(f"{str(folder)!r} contains {held}: a classifier needs at least 2, one for each class")
    return names


def label_images(folder: Path, names: Sequence[str], left_out: LeftOut) -> list[File]:
    """The images of each class, in the folder of its name; those that lie elsewhere are told."""
    files = [(path, index) for index, name in enumerate(names) for path in find_images(folder / name, left_out)]
    for entry in visible_folders(folder):
        if entry.name not in names and (count := len(find_images(entry))):
            say(f"left out {count:,} images in {folder.name}/{entry.name}/: it is not a class to train on")
    count_loose(folder, left_out)
    return files
