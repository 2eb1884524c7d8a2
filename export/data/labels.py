"""Reads class names: one per line, numbered or synset lines, a class_index or class_indices JSON, or ImageNet's own."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from artifact.json import read_json
from export.errors import DataError, UsageError
from export.progress import say

_SYNSET = re.compile(r"^n\d{8}\s+")
# "0 cat", as Teachable Machine writes it: where every line bears a number, and these are 0, 1, ... or 1, 2, ...
_NUMBERED = re.compile(r"^(\d+)[\s:,;]+(\S.*)$")
_IMAGENET = Path(__file__).parent.parent / "assets" / "imagenet_class_index.json"


def imagenet_labels() -> tuple[str, ...]:
    """The 1,000 classes of ILSVRC-2012 in their usual order, e.g. `golden retriever` at 207."""
    return tuple(label.replace("_", " ") for label in _read_class_index(_IMAGENET))


def imagenet_synsets() -> tuple[str, ...]:
    """Their WordNet ids in the same order, e.g. `n02099601` at 207: the names of ImageNet's class folders."""
    index = json.loads(_IMAGENET.read_text(encoding="utf-8"))
    return tuple(index[str(i)][0] for i in range(len(index)))


def read_labels(source: str) -> tuple[str, ...]:
    """The labels that `--labels` names: a file, or the word imagenet. Raises DataError naming what is wrong."""
    if source == "imagenet":
        return imagenet_labels()
    labels = _read_file(source)
    if twice := sorted(name for name, times in Counter(labels).items() if times > 1):
        say(f"--labels {source} names more than one class {', '.join(twice[:10])}: answers can't tell them apart")
    return labels


def _read_file(source: str) -> tuple[str, ...]:
    path = Path(source)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text in UTF-8"
        raise DataError(
            f"--labels {source}: can't be read ({reason}): give a file of one name a line, or imagenet"
        ) from error
    if path.suffix == ".json":
        return _read_class_index(path)
    lines = [line.strip() for line in text.splitlines()]
    while lines and not lines[-1]:
        lines.pop()
    for number, line in enumerate(lines, 1):
        if not line:
            raise DataError(f"--labels {source}: line {number} is empty: each line names one class, in order")
    numbered = [_NUMBERED.match(line) for line in lines]
    places = [int(match[1]) for match in numbered if match]
    if lines and sorted(places) in (list(range(len(lines))), list(range(1, len(lines) + 1))):
        ordered = sorted(zip(places, (match[2] for match in numbered if match), strict=True))
        return _check(tuple(name for _, name in ordered), source)
    # A synset line is "n01440764 tench, Tinca tinca": the first name is the one people use.
    labels = tuple(_SYNSET.sub("", line).split(",")[0] if _SYNSET.match(line) else line for line in lines)
    return _check(labels, source)


def check_count(labels: Sequence[str], outputs: int, network: str) -> None:
    """Raise UsageError unless there is one label per class; a single output tells two classes apart."""
    classes = 2 if outputs == 1 else outputs
    if len(labels) != classes:
        raise UsageError(
            f"{len(labels):,} labels for {classes:,} classes: --labels must name each class of {network} once, in the "
            "order of its outputs"
        )


def match_labels(there: Sequence[str], wanted: Sequence[str]) -> npt.NDArray[np.int64] | None:
    """For each of the classes `there` its place among `wanted`, [classes]; None where one isn't there, or not once on
    each side.

    Letters' case, underscores, dashes and spaces don't tell names apart.
    """
    if tuple(there) == tuple(wanted):
        return np.arange(len(wanted))  # some sets have two classes of one name
    names, plain = [_plain(name) for name in there], [_plain(name) for name in wanted]
    if any(names.count(name) != 1 or plain.count(name) != 1 for name in names):
        return None
    return np.array([plain.index(name) for name in names], np.int64)


def describe_difference(there: Sequence[str], wanted: Sequence[str]) -> str:
    """How the classes of a data set differ from a network's labels, in words."""
    parts = []
    for title, names, others in (("data set", there, wanted), ("labels", wanted, there)):
        known = {_plain(name) for name in others}
        if only := [name for name in names if _plain(name) not in known]:
            parts.append(f"only in the {title}: {_list(only)}")
    return f"it has {len(there):,} classes, there are {len(wanted):,} labels" + "".join(f"; {part}" for part in parts)


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", " ", name.strip()).casefold()


def _list(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5:,} more" if len(names) > 5 else "")


def _read_class_index(path: Path) -> tuple[str, ...]:
    """Names as they are written: a JSON list, {"0": "name"}, Keras' {"0": ["n01440764", "tench"]} or {"name": 0}."""
    try:
        index = read_json(path.read_text(encoding="utf-8-sig"))
        if isinstance(index, dict) and all(type(place) is int for place in index.values()):
            index = {str(place): name for name, place in index.items()}
        entries = index if isinstance(index, list) else [index[str(i)] for i in range(len(index))]
        labels = tuple(entry if isinstance(entry, str) else str(entry[1]) for entry in entries)
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise DataError(
            f"{path.name} is not a class index: it must be a list of names, map 0, 1, ... to a name or [id, name], or "
            "names to 0, 1, ..."
        ) from error
    return _check(labels, path.name)


def _check(labels: tuple[str, ...], source: str) -> tuple[str, ...]:
    if len(labels) < 2:
        raise DataError(f"--labels {source} names {len(labels)} classes: a classifier has at least 2")
    return labels
