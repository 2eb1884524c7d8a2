"""The metrics of one process: lists of numbers by family and labels; and their sums over processes. Used on the event
loop only, so there are no locks.

A series is a plain list of numbers: recording costs a tenth of a microsecond, and series of several processes
are summed element by element.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from app.observe.families import FAMILIES, Labels

Snapshot = dict[str, dict[Labels, list[float]]]
"""Family -> label values -> numbers: one of a counter or gauge; of a histogram its counts, then the sum."""


class Metrics:
    """Every series of one process."""

    def __init__(self) -> None:
        self._series: Snapshot = {name: {} for name in FAMILIES}
        for name, family in FAMILIES.items():
            if family.kind == "counter" and not family.labels:  # there at 0, so that its first increase can be seen
                self.series(name)
        self._observers: list[Callable[[], Iterable[tuple[str, Labels, Sequence[float]]]]] = []

    def series(self, family: str, *labels: str, width: int = 1) -> list[float]:
        """The numbers of one series: the same list for the same labels. Callers keep it and add to it."""
        zeros = FAMILIES[family].zeros(width)
        found = self._series[family].get(labels)
        if found is None or len(found) != len(zeros):  # a version that was published again may have other classes
            found = self._series[family][labels] = zeros
        return found

    def add(self, family: str, *labels: str, amount: float = 1.0) -> None:
        self.series(family, *labels)[0] += amount

    def histogram(self, family: str, *labels: str) -> Histogram:
        return Histogram(FAMILIES[family].bounds, self.series(family, *labels))

    def observe_with(self, observer: Callable[[], Iterable[tuple[str, Labels, Sequence[float]]]]) -> None:
        """Ask `observer` for gauges whenever a snapshot is taken."""
        self._observers.append(observer)

    def snapshot(self) -> Snapshot:
        taken = {family: {labels: list(values) for labels, values in s.items()} for family, s in self._series.items()}
        for observer in self._observers:
            for family, labels, values in observer():
                taken[family][labels] = list(values)
        return taken


class Histogram:
    """Counts values by bucket into a series."""

    __slots__ = ("_bounds", "_values")

    def __init__(self, bounds: tuple[float, ...], values: list[float]) -> None:
        self._bounds = bounds
        self._values = values

    def observe(self, value: float) -> None:
        self._values[bisect_left(self._bounds, value)] += 1
        self._values[-1] += value


def merge(snapshots: Iterable[Snapshot]) -> Snapshot:
    """Merge the series of several processes, element by element."""
    merged: Snapshot = {name: {} for name in FAMILIES}
    for snapshot in snapshots:
        for family, series in snapshot.items():
            combine, into = FAMILIES[family].merge, merged[family]
            for labels, values in series.items():
                before = into.get(labels)
                into[labels] = list(values) if before is None else list(map(combine, before, values))
    return merged


def keep_counts(snapshot: Snapshot) -> Snapshot:
    """The counters and histograms of a process that ended; its gauges are dropped."""
    return {name: series for name, series in snapshot.items() if FAMILIES[name].kind != "gauge"}


def write_snapshot(snapshot: Snapshot) -> dict[str, list[Any]]:
    """A snapshot as JSON holds it."""
    return {family: [[list(labels), values] for labels, values in s.items()] for family, s in snapshot.items()}


def read_snapshot(written: dict[str, list[Any]]) -> Snapshot:
    """What `write_snapshot` wrote."""
    return {family: {tuple(labels): values for labels, values in series} for family, series in written.items()}
