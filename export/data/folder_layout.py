"""Finds the splits and classes in a folder of images.

Folders are called as people call them: train or training; test, testing, val, valid or validation; in any case. Hidden
files and folders (.ipynb_checkpoints, ._photo.jpg, __MACOSX) are passed over on every level. Nothing is passed over in
silence, and no split is taken for a class.
"""

from __future__ import annotations

import re
import shlex
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from artifact.images.formats import IMAGE_SUFFIXES
from artifact.lists.walk import walk_folders
from export.errors import DataError
from export.progress import say

TRAINING = ("train", "training")
TESTING = ("test", "testing", "val", "valid", "validation")
"""In the order in which they are preferred."""
CONVERTIBLE = (".heic", ".heif")


@dataclass
class LeftOut:
    """Counts of the files in a folder that the data set leaves out, for one message."""

    hidden: int = 0
    """Images in hidden folders, or hidden themselves."""
    others: Counter[str] = field(default_factory=Counter)
    """Files that are no images, by their suffix."""

    def tell(self, where: Path | str) -> None:
        found = [
            f"{count:,} {suffix or 'without suffix'}"
            + (" (not decoded here: convert them to JPEG)" if suffix in CONVERTIBLE else "")
            for suffix, count in sorted(self.others.items())
        ]
        if self.hidden:
            found.append(f"{self.hidden:,} hidden images")
        if found:
            say(f"left out in {where}: {', '.join(found)}")


def find_images(folder: Path, left_out: LeftOut | None = None) -> list[Path]:
    """Every image file below `folder`, by its suffix, in a fixed order; links are followed, `left_out` counts other
    files.
    """
    images = []
    for place, _, names in walk_folders(folder):
        hidden = any(map(is_hidden, Path(place).relative_to(folder).parts))
        for name in names:
            suffix = Path(name).suffix.lower()
            if not hidden and not is_hidden(name) and suffix in IMAGE_SUFFIXES:
                images.append(Path(place, name))
            elif left_out is not None and suffix in IMAGE_SUFFIXES:
                left_out.hidden += 1
            elif left_out is not None and not hidden and not is_hidden(name):
                left_out.others[suffix] += 1
    return sorted(images)


@dataclass(frozen=True)
class Layout:
    """The folder that holds the class folders to train on, and the one to test on; None where a split must be made."""

    train: Path
    test: Path | None


def read_layout(folder: Path) -> Layout:
    """The splits and classes of a folder. Raises DataError where there are splits to test on, but none to train on, or
    splits of names not known here.
    """
    inside = visible_folders(folder)
    training = [entry for entry in inside if entry.name.lower() in TRAINING and _holds_classes(entry)]
    testing = sorted(
        (entry for entry in inside if entry.name.lower() in TESTING),
        key=lambda entry: TESTING.index(entry.name.lower()),
    )
    if not training and not testing:
        _refuse_wrapped(folder, inside)
        _refuse_splits_of_other_names(folder, inside)
        return Layout(folder, None)
    others = [entry for entry in inside if entry not in training + testing and find_images(entry)]
    if not training:
        if testing and not others and all(map(_holds_classes, testing)):
            names = ", ".join(entry.name for entry in testing)
            raise DataError(
                f"{folder} has {names} but no folder called train: name the folder of class folders, {testing[0]}"
            )
        return Layout(folder, None)
    train = training[0]
    classes = {entry.name for entry in visible_folders(train)}
    labeled = [entry for entry in testing if classes & {inner.name for inner in visible_folders(entry)}]
    if not labeled and others:  # car/, plane/ and train/: a class of that name
        return Layout(folder, None)
    for entry in [*testing, *others, *training[1:]]:
        if entry not in labeled[:1] and (count := len(find_images(entry))):
            what = "not used" if entry in labeled or entry in others else "it has no class folders of the training"
            say(f"left out {count:,} images in {entry.name}/: {what}")
    return Layout(train, labeled[0] if labeled else None)


def count_loose(folder: Path, left_out: LeftOut) -> None:
    """What lies beside the folders of classes or splits: images are told at once, hidden ones and others counted."""
    images = 0
    for entry in folder.iterdir():
        hidden, suffix = is_hidden(entry.name), entry.suffix.lower()
        if hidden and entry.is_dir():
            left_out.hidden += len(find_images(entry))
        elif not entry.is_file():
            continue
        elif hidden:
            left_out.hidden += suffix in IMAGE_SUFFIXES
        elif suffix in IMAGE_SUFFIXES:
            images += 1
        else:
            left_out.others[suffix] += 1
    if images:
        say(f"left out {images:,} images directly in {folder.name}/: an image's folder must name its class")


def visible_folders(folder: Path) -> list[Path]:
    return sorted(entry for entry in folder.iterdir() if entry.is_dir() and not is_hidden(entry.name))


def is_hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"  # which macOS puts into archives: one ._file beside each file


def _holds_classes(folder: Path) -> bool:
    """Whether a folder holds folders of images, and no images beside them."""
    own = any(entry.suffix.lower() in IMAGE_SUFFIXES and not is_hidden(entry.name) for entry in folder.iterdir())
    return not own and any(find_images(entry) for entry in visible_folders(folder))


def _refuse_wrapped(folder: Path, inside: list[Path]) -> None:
    """An archive of pets/ unpacked in pets/: the data set lies one folder further down."""
    deeper = _unwrap(folder)
    if len(inside) == 1 and len(visible_folders(deeper)) > 1 and _holds_classes(deeper):
        raise DataError(f"{folder} contains a single folder with the class folders in it: name {_quote(deeper)}")


def _refuse_splits_of_other_names(folder: Path, inside: list[Path]) -> None:
    """seg_train/ and seg_test/, train_images/ and test_images/: two classes by their place, splits by their names."""
    training = [entry for entry in inside if _named_as(entry, TRAINING)]
    testing = [entry for entry in inside if _named_as(entry, TESTING) and entry not in training]
    if len(training) != 1 or not testing:
        return
    places = _unwrap(training[0]), _unwrap(testing[0])
    if len(visible_folders(places[0])) > 1 and _holds_classes(places[0]):
        names = [place.relative_to(folder).as_posix() for place in places]
        moves = [
            f"mv {_quote(place)} {_quote(folder / name)}" for place, name in zip(places, ("train", "test"), strict=True)
        ]
        raise DataError(
            f"{folder}: {' and '.join(names)} seem to be splits, of other names than are known here, and would be two "
            f"classes: {'; '.join(moves)}"
        )


def _named_as(folder: Path, names: tuple[str, ...]) -> bool:
    return not {*names}.isdisjoint(re.split(r"[^a-z]+", folder.name.lower()))


def _unwrap(folder: Path) -> Path:
    """Down through folders that hold one folder and nothing else that counts."""
    while len(inside := visible_folders(folder)) == 1 and _holds_classes(folder):
        folder = inside[0]
    return folder


def _quote(path: Path) -> str:
    return shlex.quote(str(path))
