"""Setting: the settings that `convserve tune` varies, as a settings file has them, and the neighbors of a setting to
try.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeVar, get_args

from artifact.figures.precision import Precision

T = TypeVar("T", int, float)

_WAITS_MS = (0.0, 2.0, 5.0, 10.0, 20.0, 50.0)
# A wait that is longer than this share of the p99 leaves too little of it for the run.
_WAIT_SHARE = 0.5


@dataclass(frozen=True)
class Setting:
    """`workers` is auto until a service has found out how many that are; `threads` 0 shares the cores among them."""

    model: str
    workers: int | Literal["auto"]
    threads: int
    max_batch_size: int
    max_wait_ms: float

    def __str__(self) -> str:
        threads = f"threads {self.threads or 'shared'}"
        limits = f"batch {self.max_batch_size}, wait {self.max_wait_ms:g} ms"
        return f"{self.model}, workers {self.workers}, {threads}, {limits}"

    def write_toml(self, repository: Path | str, device: str, said: Sequence[str] = ()) -> str:
        """A settings file for `convserve serve --settings`, with the lines of `said` as comments before it."""
        # JSON's strings, numbers and lists are TOML's, too.
        quote = json.dumps
        lines = [
            *(f"# {line}" for line in said),
            f"repository = {quote(str(repository), ensure_ascii=False)}",
            f"load = {quote([self.model])}",
            f"device = {quote(device)}",
            f"workers = {quote(self.workers)}",
            "",
            f"[model.{quote(self.model)}]",
            f"threads = {self.threads}",
            f"max_batch_size = {self.max_batch_size}",
            f"max_wait_ms = {self.max_wait_ms}",
        ]
        return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class Room:
    """What there is to choose from."""

    models: tuple[str, ...]
    """The model and its variants of other precisions."""
    cores: int
    on_gpu: bool
    largest_batch: int
    """Rows that the card allows in one batch."""
    batch_size: Callable[[str], int]
    """Of a model that was served: rows from which on batches gain nothing, as loading measured it."""
    p99_ms: float


def name_variants(model: str) -> list[str]:
    """The names that the export stage gives to the same network in other precisions."""
    return [f"{model}-{precision}" for precision in get_args(Precision)]


def vary_model(setting: Setting, room: Room) -> Iterator[list[Setting]]:
    for model in room.models:
        yield [replace(setting, model=model)]


def vary_workers(setting: Setting, room: Room) -> Iterator[list[Setting]]:
    """On a GPU a second worker gains where Python is the limit, and more take its memory for nothing."""
    for workers in (1, 2) if room.on_gpu else sorted({1, *_halve(room.cores)}):
        yield [replace(setting, workers=workers, threads=0)]


def vary_threads(setting: Setting, room: Room) -> Iterator[list[Setting]]:
    """More threads than cores only wait for each other, and a GPU needs none."""
    if room.on_gpu:
        return
    share = room.cores if setting.workers == "auto" else max(1, room.cores // setting.workers)
    for path in _both_ways(_halve(share), setting.threads or share):
        yield [replace(setting, threads=0 if threads == share else threads) for threads in path]


def vary_batch(setting: Setting, room: Room) -> Iterator[list[Setting]]:
    """What is more than batches gain by changes nothing."""
    gains = min(setting.max_batch_size, room.batch_size(setting.model))
    larger, smaller = _both_ways(_halve(room.largest_batch), gains)
    yield [replace(setting, max_batch_size=rows) for rows in smaller]
    if gains == setting.max_batch_size:
        yield [replace(setting, max_batch_size=rows) for rows in larger]


def vary_wait(setting: Setting, room: Room) -> Iterator[list[Setting]]:
    waits = [wait for wait in _WAITS_MS if wait <= _WAIT_SHARE * room.p99_ms]
    for path in _both_ways(waits, setting.max_wait_ms):
        yield [replace(setting, max_wait_ms=wait) for wait in path]


DIMENSIONS = (vary_model, vary_workers, vary_threads, vary_batch, vary_wait)
"""Each gives, of a setting, ways to go on: settings to be tried in this order, as long as each is better than the one
before.
"""


def _both_ways(values: Sequence[T], current: T) -> tuple[list[T], list[T]]:
    """Those above `current`, rising, and those below, falling."""
    above = sorted(value for value in values if value > current)
    return above, sorted((value for value in values if value < current), reverse=True)


def _halve(number: int) -> list[int]:
    """number, number / 2, ... 1."""
    found = []
    while number:
        found.append(number)
        number //= 2
    return found
