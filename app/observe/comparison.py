"""Counts of a shadow compared with the model that answers, and their sums over all processes. Knows no model, only
names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.observe.families import FAMILIES, Labels
from app.observe.metrics import Metrics, Snapshot
from artifact.figures.interval import find_interval

IMAGES = "convserve_shadow_images_total"
DIFFERENCE = "convserve_shadow_difference"
SECONDS = "convserve_shadow_infer_seconds"
ROWS, CONFUSION = "shadow_rows", "shadow_confusion"
_RESULTS = ("agreed", "disagreed", "failed", "dropped")

# Pairs of labels that are counted one by one in a process; later ones are counted together, under empty labels.
_MOST_PAIRS = 2_000
_PAIRS_SHOWN = 50


class ShadowMeters:
    """One process's counts of one shadow, which compares `run` with `of`, each a model/version."""

    def __init__(self, metrics: Metrics, shadow: str, of: str, run: str) -> None:
        self._metrics = metrics
        self._labels = labels = (shadow, of, run)
        self._agreed, self._disagreed, self._failed, self._dropped = (
            metrics.series(IMAGES, *labels, result) for result in _RESULTS
        )
        self._difference = metrics.histogram(DIFFERENCE, *labels)
        self._seconds = [metrics.histogram(SECONDS, *labels, by) for by in ("of", "run")]
        self._rows = metrics.series(ROWS, *labels, width=2)
        self._pairs: dict[tuple[str, str], list[float]] = {}

    def record_pair(
        self, of: tuple[str, str], difference: float, seconds: tuple[float, float], rows: tuple[int, int]
    ) -> None:
        """Count an image that both models have answered. The model that answered the caller comes first in each pair.

        `of` are the labels that the two gave; `difference` is how far apart their probabilities of the caller's class
        are; `seconds` is how long the image's batches ran, and `rows` how many images those had.
        """
        agreed = of[0] == of[1]
        (self._agreed if agreed else self._disagreed)[0] += 1
        self._difference.observe(difference)
        for place in (0, 1):
            self._seconds[place].observe(seconds[place])
            self._rows[place] += rows[place]
        if not agreed:
            self._find_pair(of)[0] += 1

    def count_failed(self) -> None:
        """`run` couldn't answer an image."""
        self._failed[0] += 1

    def count_dropped(self, images: int = 1) -> None:
        """`images` images weren't compared: there was no room for them to wait, or a model was gone."""
        self._dropped[0] += images

    def _find_pair(self, pair: tuple[str, str]) -> list[float]:
        if (cell := self._pairs.get(pair)) is None:
            if len(self._pairs) >= _MOST_PAIRS:
                pair = ("", "")
            cell = self._pairs[pair] = self._metrics.series(CONFUSION, *self._labels, *pair)
        return cell


@dataclass(frozen=True)
class Comparison:
    """The sums of one shadow over all processes."""

    agreed: int
    disagreed: int
    failed: int
    dropped: int
    difference: Sequence[float]
    """The histogram convserve_shadow_difference."""
    seconds: Mapping[str, Sequence[float]]
    """The histograms convserve_shadow_infer_seconds of `of` and `run`."""
    rows: Sequence[float]
    pairs: Sequence[tuple[str, str, int]]
    """Label by `of`, label by `run`, images; the most frequent first."""

    @classmethod
    def read(cls, snapshot: Snapshot, shadow: str, of: str, run: str) -> Comparison:
        labels = (shadow, of, run)
        counts = {by: int(_find(snapshot, IMAGES, (*labels, by))[0]) for by in _RESULTS}
        pairs = [
            (found[3], found[4], int(images))
            for found, (images,) in snapshot.get(CONFUSION, {}).items()
            if found[:3] == labels
        ]
        return cls(
            **counts,
            difference=_find(snapshot, DIFFERENCE, labels),
            seconds={by: _find(snapshot, SECONDS, (*labels, by)) for by in ("of", "run")},
            rows=_find(snapshot, ROWS, labels, width=2),
            pairs=sorted(pairs, key=lambda pair: (-pair[2], pair)),
        )

    @property
    def images(self) -> int:
        """Images that both models have answered."""
        return self.agreed + self.disagreed

    @property
    def agreement(self) -> tuple[float, float, float] | None:
        """The share of images with the same top class, and its 95 % interval; None without images."""
        if not self.images:
            return None
        share = self.agreed / self.images
        return share, *find_interval(share, self.images)

    def describe(self) -> dict[str, Any]:
        """As JSON has it."""
        agreement = self.agreement
        return {
            "images": self.images,
            "top1_agreement": agreement and agreement[0],
            "top1_agreement_interval": agreement and agreement[1:],
            "mean_abs_difference": self.difference[-1] / self.images if self.images else None,
            "failed": self.failed,
            "dropped": self.dropped,
            "latency": {by: self._describe_latency(place, by) for place, by in enumerate(("of", "run"))},
            "confusion": [{"of": of, "run": run, "images": images} for of, run, images in self.pairs[:_PAIRS_SHOWN]],
        }

    def _describe_latency(self, place: int, by: str) -> dict[str, float | None]:
        if not self.images:
            return {"mean_infer_ms": None, "p99_infer_ms": None, "mean_batch_rows": None}
        return {
            "mean_infer_ms": 1e3 * self.seconds[by][-1] / self.images,
            "p99_infer_ms": 1e3 * find_quantile(FAMILIES[SECONDS].bounds, self.seconds[by], 0.99),
            "mean_batch_rows": self.rows[place] / self.images,
        }


def find_quantile(bounds: Sequence[float], histogram: Sequence[float], quantile: float) -> float:
    """A quantile of what a histogram has counted, linear within its bucket; the largest bound where it lies above all,
    and 0 where nothing was counted.
    """
    *counts, _ = histogram
    wanted, below, lower = quantile * sum(counts), 0.0, 0.0
    for bound, count in zip(bounds, counts, strict=False):
        if count and below + count >= wanted:
            return lower + (bound - lower) * (wanted - below) / count
        below, lower = below + count, bound
    return bounds[-1] if sum(counts) else 0.0


def find_share_above(bounds: Sequence[float], histogram: Sequence[float], value: float) -> float:
    """The share of what a histogram has counted that lies above `value`, linear within its bucket; 0 where nothing was
    counted, and for what isn't below the largest bound: how far beyond it anything lies is not known.
    """
    *counts, _ = histogram
    above, lower = 0.0, 0.0
    for bound, count in zip(bounds, counts, strict=False):
        above += count * min(1.0, max(0.0, (bound - value) / (bound - lower)))
        lower = bound
    above += counts[-1] if value < bounds[-1] else 0.0
    return above / sum(counts) if sum(counts) else 0.0


def _find(snapshot: Snapshot, family: str, labels: Labels, width: int = 1) -> Sequence[float]:
    """A series, of zeros where there is none."""
    return snapshot.get(family, {}).get(labels) or FAMILIES[family].zeros(width)
