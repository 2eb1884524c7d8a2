"""Guards: sets the weight of a weighted alias's newer model to 0 once its errors, its p99 or its disagreements exceed
the alias's bound. Judges the sums of all workers, in the process that makes the changes of traffic.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import NamedTuple

from app.aliases import Guard, Shadow, Split
from app.catalog.traffic.changes import TrafficChanges
from app.catalog.traffic.traffic import split_version
from app.observe.comparison import IMAGES, find_quantile, find_share_above
from app.observe.families import ALIAS_FAULTS, ALIAS_SECONDS, FAMILIES
from app.observe.metrics import Metrics, Snapshot
from artifact.figures.interval import find_interval

log = logging.getLogger(__name__)

EVERY_S = 2.0
# A share breaks its bound where the lower end of its interval lies above: so wide an interval (in standard deviations)
# that a model which keeps its bound is hardly ever taken for one that doesn't, however often it is looked at.
_Z = 3.0
# Counts start again after this many times min_requests, so that a model that becomes worse is noticed.
_WINDOW = 10


class _Counts(NamedTuple):
    """Counts of one model of an alias, compared with the alias's first model."""

    seconds: Sequence[float]
    """A histogram of the answered requests."""
    faults: float
    first_seconds: Sequence[float]
    compared: float
    disagreed: float

    def since(self, before: _Counts) -> _Counts:
        return _Counts(
            [now - then for now, then in zip(self.seconds, before.seconds, strict=True)],
            self.faults - before.faults,
            [now - then for now, then in zip(self.first_seconds, before.first_seconds, strict=True)],
            self.compared - before.compared,
            self.disagreed - before.disagreed,
        )


class _Window(NamedTuple):
    """Where counting for the next judgment of a model began."""

    split: Split
    shadows: dict[str, Shadow]
    """Those that compare it with the first model."""
    counts: _Counts


class Guards:
    """The guards of all aliases of a service."""

    def __init__(self, changes: TrafficChanges, snapshot: Callable[[], Awaitable[Snapshot]], metrics: Metrics) -> None:
        """`snapshot` gives the sums of all workers; withdrawals are counted in `metrics`."""
        self._changes = changes
        self._snapshot = snapshot
        self._metrics = metrics
        self._before: dict[tuple[str, str], _Window] = {}  # by alias and model: what isn't judged

    async def look(self) -> None:
        """Judge every model with weight, except the first one, of every alias with a guard."""
        traffic = self._changes.traffic
        guarded = {name: split for name, split in traffic.splits.items() if split.guard is not None}
        self._before = {key: known for key, known in self._before.items() if guarded.get(key[0]) == known.split}
        if not guarded:
            return
        snapshot = await self._snapshot()
        for name, split in guarded.items():
            for target in list(split.to)[1:]:
                if split.to[target] and traffic.splits.get(name) == split:
                    split = await self._judge(snapshot, name, split, target)

    async def _judge(self, snapshot: Snapshot, name: str, split: Split, target: str) -> Split:
        """Judge one model; returns the alias after that, or `split` where a request has changed it meanwhile."""
        guard, traffic = split.guard, self._changes.traffic
        assert guard is not None
        first = next(iter(split.to))
        shadows = {shadow: pair for shadow, pair in traffic.shadows.items() if {pair.of, pair.run} == {first, target}}
        now = _count(snapshot, name, first, target, shadows)
        window = self._before.get((name, target))
        if window is None or window.shadows != shadows:
            window = self._before[name, target] = _Window(split, shadows, now)
        counts = now.since(window.counts)
        for bound, reason in find_broken(guard, counts):
            if not await self._changes.withdraw(name, split, target, reason):
                return split
            log.error("alias %s: %s gets no requests any more: %s", name, target, reason)
            self._metrics.add("convserve_alias_withdrawals_total", name, target, bound)
            return traffic.splits[name]
        if sum(counts.seconds[:-1]) + counts.faults >= _WINDOW * guard.min_requests:
            self._before[name, target] = _Window(split, shadows, now)
        return split


def find_broken(guard: Guard, counts: _Counts) -> Iterator[tuple[str, str]]:
    """(bound, explanation) for each bound of the guard that is exceeded."""
    answered, first = sum(counts.seconds[:-1]), sum(counts.first_seconds[:-1])
    requests = answered + counts.faults
    if guard.max_error_rate is not None and requests >= guard.min_requests:
        rate = counts.faults / requests
        if find_interval(rate, int(requests), _Z)[0] > guard.max_error_rate:
            yield (
                "max_error_rate",
                f"{rate:.2%} of its {requests:,.0f} requests failed (max_error_rate is {guard.max_error_rate:g})",
            )
    if guard.max_p99_ratio is not None and min(answered, first) >= guard.min_requests:
        bounds = FAMILIES[ALIAS_SECONDS].bounds
        p99, other = (find_quantile(bounds, found, 0.99) for found in (counts.seconds, counts.first_seconds))
        # A p99 varies, since few requests decide it: it counts as above only if surely more than 1 % are slower.
        highest = find_quantile(bounds, counts.first_seconds, find_interval(0.99, int(first), _Z)[1])
        slower = find_share_above(bounds, counts.seconds, guard.max_p99_ratio * highest)
        if find_interval(slower, int(answered), _Z)[0] > 0.01:
            yield (
                "max_p99_ratio",
                f"the p99 of its {answered:,.0f} requests is {1e3 * p99:.4g} ms, that of the first model's "
                f"{1e3 * other:.4g} (max_p99_ratio is {guard.max_p99_ratio:g})",
            )
    if guard.max_disagreement is not None and counts.compared >= guard.min_requests:
        rate = counts.disagreed / counts.compared
        if find_interval(rate, int(counts.compared), _Z)[0] > guard.max_disagreement:
            yield (
                "max_disagreement",
                f"it disagrees on {rate:.2%} of {counts.compared:,.0f} images that a shadow compared "
                f"(max_disagreement is {guard.max_disagreement:g})",
            )


def _means(target: str, version: str) -> bool:
    """Whether model/version is what a model or model/version may mean."""
    return target in (version, split_version(version)[0])


def _count(snapshot: Snapshot, name: str, first: str, target: str, shadows: dict[str, Shadow]) -> _Counts:
    nothing = FAMILIES[ALIAS_SECONDS].zeros()
    seconds = snapshot.get(ALIAS_SECONDS, {})
    (faults,) = snapshot.get(ALIAS_FAULTS, {}).get((name, target), [0.0])
    images = {"agreed": 0.0, "disagreed": 0.0, "failed": 0.0, "dropped": 0.0}
    for (shadow, of, run, result), (count,) in snapshot.get(IMAGES, {}).items():
        # A shadow may have compared other models before, under the same name.
        if (pair := shadows.get(shadow)) is not None and _means(pair.of, of) and _means(pair.run, run):
            images[result] += count
    return _Counts(
        seconds.get((name, target), nothing),
        faults,
        seconds.get((name, first), nothing),
        images["agreed"] + images["disagreed"],
        images["disagreed"],
    )
