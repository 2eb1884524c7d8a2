"""Drift: the distance of the last predictions from those on validation images, which are in the card (Distribution).

The distance is total variation, half the sum of absolute differences: 0 for equal shares, 1 for disjoint ones.
"""

from __future__ import annotations

from collections.abc import Sequence

from app.observe.metrics import Snapshot

# Images: the last one to two windows count, enough for steady shares, few enough to notice a change.
WINDOW = 1000
# Below this many images the shares are noise.
_ENOUGH = 100


class RecentCounts:
    """Counts by bin of the last one to two windows of images, kept in a series that can be summed."""

    def __init__(self, series: list[float]) -> None:
        self._series = series
        self._current = [0.0] * len(series)
        self._seen = 0

    def add(self, place: int) -> None:
        self._series[place] += 1
        self._current[place] += 1
        self._seen += 1
        if self._seen == WINDOW:  # forget the window before this one
            self._series[:] = self._current
            self._current = [0.0] * len(self._series)
            self._seen = 0


def measure_drift(counts: Sequence[float], expected: Sequence[float]) -> float | None:
    """Total variation distance between two histograms; None while there are too few counts."""
    total, whole = sum(counts), sum(expected)
    if total < _ENOUGH or whole <= 0:
        return None
    return sum(abs(c / total - e / whole) for c, e in zip(counts, expected, strict=True)) / 2


def find_drift(snapshot: Snapshot) -> Snapshot:
    """The drift of each model whose card has a distribution, once it has enough images."""
    found: Snapshot = {}
    for kind, metric in (("classes", "convserve_class_drift"), ("confidence", "convserve_confidence_drift")):
        recent = snapshot.get(f"recent_{kind}", {})
        for labels, expected in snapshot.get(f"expected_{kind}", {}).items():
            drift = measure_drift(recent.get(labels, [0.0] * len(expected)), expected)
            if drift is not None:
                found.setdefault(metric, {})[labels] = [round(drift, 4)]
    return found
