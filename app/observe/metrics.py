"""Counters, gauges and histograms of our own, and their text for Prometheus. Owned by the event loop: no locks.

A series is a plain list of numbers: recording costs a tenth of a microsecond, and series of several processes
are summed element by element.
"""

from __future__ import annotations

import operator
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from app.observe.drift import render_drift

Labels = tuple[str, ...]
Snapshot = dict[str, dict[Labels, list[float]]]
"""Family -> label values -> numbers: one of a counter or gauge; of a histogram its counts, then the sum."""

_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_TENTHS = tuple(tenth / 10 for tenth in range(1, 10))


ALIAS_SECONDS, ALIAS_FAULTS = "convserve_alias_request_seconds", "convserve_alias_faults_total"


@dataclass(frozen=True)
class Family:
    """One metric. `internal` ones aren't rendered: statistics and drift are computed from them."""

    kind: Literal["counter", "gauge", "histogram", "internal"]
    help: str
    labels: Labels
    bounds: tuple[float, ...] = ()
    merge: Callable[[float, float], float] = operator.add


_VERSION = ("model", "version")
_SHADOW = ("shadow", "of", "run")
FAMILIES: dict[str, Family] = {
    "convserve_requests_total": Family(
        "counter", "Answers by status; model is empty off a model.", ("model", "status")
    ),
    "convserve_request_seconds": Family("histogram", "Whole time of requests to a model.", _VERSION, _SECONDS),
    "convserve_rejections_total": Family(
        "counter", "Requests answered with an error, by its code.", ("model", "reason")
    ),
    "convserve_stage_seconds": Family(
        "histogram", "Time of one image in a stage: decode, queue, infer.", (*_VERSION, "stage"), _SECONDS
    ),
    "convserve_images_total": Family("counter", "Images predicted.", _VERSION),
    "convserve_alias_withdrawals_total": Family(
        "counter", "Models whose weight a guard took away, by the bound that they broke.", ("alias", "to", "bound")
    ),
    "convserve_cascade_images_total": Family(
        "counter",
        "Images by what the second model of a cascade did: unasked, answered, or skipped for lack of a place or time.",
        ("alias", "second"),
    ),
    "convserve_alias_request_seconds": Family(
        "histogram",
        "Whole time of answered requests, by the model that a weighted alias chose.",
        ("alias", "to"),
        _SECONDS,
    ),
    "convserve_alias_faults_total": Family(
        "counter",
        "Requests through a weighted alias that failed on the server's side, by the model that it chose.",
        ("alias", "to"),
    ),
    "convserve_feedback_images_total": Family(
        "counter",
        "Images with feedback: by the largest probability (bin, its upper edge), and whether the most "
        "probable class was the true one (answer: right, wrong).",
        (*_VERSION, "bin", "answer"),
    ),
    "convserve_feedback_confidence_total": Family(
        "counter", "Sum of the largest probabilities of these images, by the same bins.", (*_VERSION, "bin")
    ),
    "convserve_feedback_sets_total": Family(
        "counter", "Label sets of such images, by whether they contain the true label: yes, no.", (*_VERSION, "holds")
    ),
    "convserve_feedback_coverage_total": Family(
        "counter", "Sum of the coverages that these label sets were asked for.", _VERSION
    ),
    "convserve_shadow_images_total": Family(
        "counter",
        "Images shown to a shadow, by what came of them: agreed or disagreed in the top class, failed, or dropped.",
        (*_SHADOW, "result"),
    ),
    "convserve_shadow_difference": Family(
        "histogram",
        "How far apart a shadow and its model put the probability of the class that the caller was told.",
        _SHADOW,
        (0.001, 0.01, 0.03, 0.1, 0.3),
    ),
    "convserve_shadow_infer_seconds": Family(
        "histogram",
        "Time of the batch that a compared image was in, by the model that ran it: of or run.",
        (*_SHADOW, "by"),
        _SECONDS,
    ),
    "convserve_unfamiliar_images_total": Family(
        "counter", "Images with less energy than 99 % of the validation images.", _VERSION
    ),
    "convserve_batch_rows": Family("histogram", "Rows in a batch.", _VERSION, (1, 2, 4, 8, 16, 32, 64, 128)),
    "convserve_busy_seconds_total": Family("counter", "Time that sessions spent running batches.", _VERSION),
    "convserve_queue_rows": Family("gauge", "Rows that have a place in the queue, decoding included.", _VERSION),
    "convserve_queue_limit_rows": Family("gauge", "Places in the queue (max_queue_rows).", _VERSION),
    "convserve_predictions_total": Family("counter", "Images by their most probable class.", (*_VERSION, "label")),
    "convserve_confidence": Family("histogram", "Largest probability of an image.", _VERSION, _TENTHS),
    "convserve_sessions": Family(
        "gauge", "Sessions that serve a model, by device.", (*_VERSION, "device", "precision", "network")
    ),
    "convserve_model_memory_bytes": Family("gauge", "Memory measured while the model was loaded.", _VERSION),
    "convserve_loads_total": Family("counter", "Loads of a version by result: loaded, refused.", ("model", "result")),
    "convserve_process_resident_bytes": Family("gauge", "Resident memory, over all processes.", ()),
    "convserve_process_cpu_seconds_total": Family("counter", "Processor time, over all processes.", ()),
    "convserve_workers": Family("gauge", "Processes that serve.", ()),
    "convserve_worker_restarts_total": Family("counter", "Workers that ended unexpectedly and were replaced.", ()),
    "convserve_ready": Family("gauge", "1 where every process is ready.", ()),
    # What statistics, comparisons and drift are computed from.
    "last_inference_ms": Family("internal", "Unix time of the last prediction.", _VERSION, merge=max),
    "failures": Family("internal", "Failed requests and their seconds.", _VERSION),
    "batches": Family("internal", "Batches and their seconds.", (*_VERSION, "rows")),
    "shadow_rows": Family("internal", "Rows of the batches that compared images were in, of both models.", _SHADOW),
    "shadow_confusion": Family(
        "internal", "Images that a shadow disagrees on, by both labels.", (*_SHADOW, "of_label", "run_label")
    ),
    "recent_classes": Family("internal", "The last images by class.", _VERSION),
    "recent_confidence": Family("internal", "The last images by tenth of their confidence.", _VERSION),
    "expected_classes": Family("internal", "The card's share of each class.", _VERSION),
    "expected_confidence": Family("internal", "The card's share of each tenth of confidence.", _VERSION),
}


_INTERNAL_COUNTS = frozenset(("failures", "batches", "shadow_rows", "shadow_confusion", "last_inference_ms"))


class Metrics:
    """Every series of one process."""

    def __init__(self) -> None:
        self._series: Snapshot = {name: {} for name in FAMILIES}
        for name, family in FAMILIES.items():
            if family.kind == "counter" and not family.labels:  # there at 0, so that its first increase can be seen
                self.series(name)
        self._observers: list[Callable[[], Iterable[tuple[str, Labels, Sequence[float]]]]] = []

    def series(self, family: str, *labels: str, width: int = 1) -> list[float]:
        """The numbers of one series, kept by whoever records into it; the same list for the same labels."""
        size = len(FAMILIES[family].bounds) + 2 if FAMILIES[family].kind == "histogram" else width
        found = self._series[family].get(labels)
        if found is None or len(found) != size:  # a version that was published again may have other classes
            found = self._series[family][labels] = [0.0] * size
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
    """The series of several processes as one."""
    merged: Snapshot = {name: {} for name in FAMILIES}
    for snapshot in snapshots:
        for family, series in snapshot.items():
            combine, into = FAMILIES[family].merge, merged[family]
            for labels, values in series.items():
                before = into.get(labels)
                into[labels] = list(values) if before is None else list(map(combine, before, values))
    return merged


def keep_counts(snapshot: Snapshot) -> Snapshot:
    """What stays true of a process that ended: its counts, not its gauges."""
    return {
        name: series
        for name, series in snapshot.items()
        if FAMILIES[name].kind in ("counter", "histogram") or name in _INTERNAL_COUNTS
    }


def write_snapshot(snapshot: Snapshot) -> dict[str, list[Any]]:
    """A snapshot as JSON holds it."""
    return {family: [[list(labels), values] for labels, values in s.items()] for family, s in snapshot.items()}


def read_snapshot(written: dict[str, list[Any]]) -> Snapshot:
    """What `write_snapshot` wrote."""
    return {family: {tuple(labels): values for labels, values in series} for family, series in written.items()}


def render(snapshot: Snapshot) -> str:
    """The Prometheus text format, version 0.0.4. Counts by model that never counted anything are left out: with
    hundreds of models, most of them idle, they would be nearly all of it.
    """
    lines: list[str] = []
    for name, family in FAMILIES.items():
        if family.kind == "internal":
            continue
        shows_zero = family.kind == "gauge" or not family.labels
        if series := {labels: values for labels, values in snapshot.get(name, {}).items() if shows_zero or any(values)}:
            lines += [f"# HELP {name} {family.help}", f"# TYPE {name} {family.kind}"]
            for labels, values in sorted(series.items()):
                pairs = list(zip(family.labels, labels, strict=True))
                lines += (
                    _render_histogram(name, pairs, family, values)
                    if family.bounds
                    else [f"{name}{_braces(pairs)} {_number(values[0])}"]
                )
    lines += render_drift(snapshot, _braces)
    return "\n".join(lines) + "\n"


def _render_histogram(name: str, pairs: list[tuple[str, str]], family: Family, values: Sequence[float]) -> list[str]:
    *counts, total = values
    lines, below = [], 0.0
    for bound, count in zip((*map(_number, family.bounds), "+Inf"), counts, strict=True):
        below += count
        lines.append(f"{name}_bucket{_braces([*pairs, ('le', bound)])} {_number(below)}")
    return [*lines, f"{name}_sum{_braces(pairs)} {_number(total)}", f"{name}_count{_braces(pairs)} {_number(below)}"]


def _braces(pairs: Sequence[tuple[str, str]]) -> str:
    if not pairs:
        return ""
    return "{" + ",".join(f'{name}="{_escape(value)}"' for name, value in pairs) + "}"


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)
