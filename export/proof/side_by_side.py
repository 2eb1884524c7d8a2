"""The answers of the user's own network and of the served graph for a few proof images, for people to compare.

A wrong assumption that is on both sides of the proof stays unnoticed; a person who knows the images may see it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from artifact.card import Head
from export.report.calibration import Floats

SHOWN_CLASSES = 3
EXAMPLES_FILE = "examples.json"


@dataclass(frozen=True)
class Value:
    label: str
    value: float


@dataclass(frozen=True)
class Example:
    """One image: the most that the network itself says, in its own units, and the most probable that is served."""

    image: str
    own: tuple[Value, ...]
    served: tuple[Value, ...]

    def __str__(self) -> str:
        return f"{self.image}: your network {_join(self.own)} | served {_join(self.served)}"


@dataclass(frozen=True)
class SideBySide:
    """In which words the outputs were read, and what that gives."""

    head: Head
    words: str
    examples: tuple[Example, ...]


def compare_images(names: Sequence[str], own: Floats, served: Floats, labels: Sequence[str]) -> tuple[Example, ...]:
    """The best classes of each image by both networks, for people to compare.

    `own` float32 [n, outputs] is what the untouched network gave, `served` float32 [n, classes] what the exported graph
    gives; `names` has the n images, `labels` the classes. A network with one output gives it for the last label.
    """
    owners = labels if own.shape[1] > 1 else labels[-1:]
    return tuple(
        Example(name, _top(mine, owners), _top(theirs, labels))
        for name, mine, theirs in zip(names, own, served, strict=True)
    )


def write_examples(folder: Path, shown: SideBySide) -> None:
    """Write examples.json into a report's folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / EXAMPLES_FILE).write_text(json.dumps(asdict(shown), indent=1) + "\n", encoding="utf-8")


def _top(values: Floats, labels: Sequence[str]) -> tuple[Value, ...]:
    best = (-values).argsort(kind="stable")[:SHOWN_CLASSES]
    return tuple(Value(labels[index], float(values[index])) for index in best)


def _join(values: Sequence[Value]) -> str:
    return ", ".join(f"{entry.label} {entry.value:.3f}" for entry in values)
