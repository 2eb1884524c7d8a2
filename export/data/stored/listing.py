"""What a stored set holds, in one order whatever it is stored as: images, their names, their classes, their split."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from export.data.folder_layout import TESTING, TRAINING
from export.data.samples import FileSamples
from export.data.stored.packed import PackedSamples
from export.errors import DataError
from export.progress import say

Stored = FileSamples | PackedSamples


class Entry(NamedTuple):
    """One image of a data set, as the set describes it."""

    name: str
    """Its path within the set. It decides, by a hash, whether the image is a test image, and the image's place in the
    order.
    """
    label: str | int | None
    """Its class by name, or by number where the set lists its classes; None where it isn't known."""
    split: str
    """The set's word for its split, such as train or test; empty if it says none."""


@dataclass(frozen=True)
class Listing:
    """The images of a set, sorted by class, then by name; `samples.labels` are indices of `classes`."""

    samples: Stored
    names: Sequence[str]
    """One per image, of folder and file: the same image has the same name however the set is stored."""
    classes: tuple[str, ...]
    tested: npt.NDArray[np.bool_] | None
    """bool [n]: whether an image is in the set's own test split; None if the set has no split."""


def make_listing(
    where: str, entries: Sequence[Entry], samples: Stored, classes: Sequence[str] | None, *, seen: bool
) -> Listing:
    """The listing of a set whose i-th image is `samples`' and is described by `entries[i]`.

    Without `classes` the set has those of its training images, by number where all are numbers, else as text. What has
    no class, or isn't needed, is left out and told. Raises DataError where a split's word is unknown or left out,
    or nothing is left to train on (`seen`).
    """
    known = [index for index, entry in enumerate(entries) if _has_class(entry)]
    if len(known) < len(entries):
        say(f"left out {len(entries) - len(known):,} images of {where} without a class")
    tested, known = _choose_splits(where, entries, known, seen)
    if classes is None:
        training = [index for index in known if not tested[index]] if tested is not None else known
        classes = _sort_classes({str(entries[index].label) for index in training})
    numbers = {name: number for number, name in enumerate(classes)}
    labels = np.array([_number(where, entry, numbers, len(classes)) for entry in entries], np.int64)
    strangers = Counter(str(entries[index].label) for index in known if labels[index] < 0)
    for name, count in sorted(strangers.items()):
        say(f"left out {count:,} images of the class {name}: it is not a class to train on")
    chosen = [index for index in known if labels[index] >= 0]
    names = {index: _place(entries[index].name, classes[labels[index]]) for index in chosen}
    chosen.sort(key=lambda index: (labels[index], PurePosixPath(names[index])))
    order = np.array(chosen, np.intp)
    return Listing(
        samples.select(order, labels[order]),
        [names[index] for index in chosen],
        tuple(classes),
        tested[order] if tested is not None else None,
    )


def read_split(word: str) -> str | None:
    """The word as it is known here, of a folder, a file's name or a column: `train`, or one of TESTING; else None."""
    found = {"train" if part in TRAINING else part for part in re.split(r"[^a-z]+", word.lower())}
    known = found & {"train", *TESTING}
    return known.pop() if len(known) == 1 else None


def _has_class(entry: Entry) -> bool:
    return entry.label not in (None, "")


def _choose_splits(
    where: str, entries: Sequence[Entry], known: list[int], seen: bool
) -> tuple[npt.NDArray[np.bool_] | None, list[int]]:
    """Which images are for the test (None: no split), and the indices of those that are used at all."""
    splits = Counter(entries[index].split for index in known)
    if splits.keys() <= {""}:
        return None, known
    if splits[""]:
        first = next(entries[index].name for index in known if not entries[index].split)
        raise DataError(
            f"{where}: {splits['']:,} images are of no split, {first} the first, though others "
            "are: give a split for all"
        )
    test = next((word for word in TESTING if splits[word]), None)
    if not splits["train"] and seen:
        raise DataError(f"{where} has test images ({test}), but none whose split is train")
    for word in TESTING:
        if word != test and splits[word]:
            say(f"left out {splits[word]:,} images of {word} in {where}: not used")
    kept = {"train", test}
    known = [index for index in known if entries[index].split in kept]
    if test is None or not splits["train"]:
        return None, known
    return np.array([entry.split == test for entry in entries]), known


def _sort_classes(names: Iterable[str]) -> list[str]:
    """By number where all are numbers: class 10 comes after class 9."""
    names = sorted(names)
    return sorted(names, key=int) if all(name.isdecimal() for name in names) else names


def _number(where: str, entry: Entry, numbers: dict[str, int], classes: int) -> int:
    """-1 where it has no class, or one that isn't known."""
    if not isinstance(entry.label, int):
        return numbers.get(entry.label or "", -1)
    if entry.label >= classes:
        raise DataError(f"{where}: {entry.name} is of class {entry.label}, but the set lists {classes:,} classes only")
    return entry.label


def _place(name: str, label: str) -> str:
    """A name without a folder in its class's: there it would lie in a folder of class folders."""
    return name if "/" in name else f"{label}/{name}"
