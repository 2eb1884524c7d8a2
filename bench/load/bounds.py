"""What must be reached, as ratios of one run; each bound is judged only where what it needs was measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.load.measurements import ModelResult, Sample
from bench.load.servers import OURS


@dataclass(frozen=True)
class Bound:
    """`text` says what was asked and what was found."""

    text: str
    held: bool


def judge(results: Sequence[ModelResult], *, has_avx512: bool) -> list[Bound]:
    """Every bound that can be judged, in the order of the models; one of them depends on the processor."""
    by_name = {result.model: result for result in results}
    bounds: list[Bound] = []
    if lenet5 := by_name.get("lenet5"):
        times_at_8 = 5.0 if has_avx512 else 3.5
        bounds += [*_beat_mosec(lenet5, times_at_8), *_cheap(lenet5), *_adds_little(lenet5)]
    if resnet18 := by_name.get("resnet18"):
        bounds += [*_beat(resnet18, "naive", 1, 1.0), *_near_limit(resnet18, [32], 0.95), *_adds_little(resnet18)]
    if resnet50 := by_name.get("resnet50"):
        bounds += _near_limit(resnet50, [count for count in resnet50.connections() if count >= 8], 0.97)
    if int8 := by_name.get("resnet50-int8"):
        bounds += _beat_best(int8)
    if mobilenet := by_name.get("mobilenet"):
        bounds += _large_photos(mobilenet)
    for result in results:
        bounds += _every_model(result)
    return bounds


def write_bounds(bounds: Sequence[Bound]) -> str:
    return "\n".join(f"{'ok    ' if bound.held else 'FAILED'} {bound.text}" for bound in bounds)


def _beat_mosec(result: ModelResult, times_at_8: float) -> Iterator[Bound]:
    yield from _beat(result, "mosec", 64, 1.5)
    yield from _beat(result, "mosec-tuned", 64, 1.3)
    for connections, times in ((32, 1.5), (8, times_at_8)):
        found = [result.median(name, connections) for name in ("mosec", "mosec-tuned")]
        ours, theirs = result.median(OURS, connections), [sample for sample in found if sample is not None]
        if ours and len(theirs) == 2:
            yield _at_least(result, ours, max(theirs, key=lambda sample: sample.rate), times, "the better mosec")
    yield from _beat(result, "naive", 1, 2.5)


def _cheap(result: ModelResult) -> Iterator[Bound]:
    if ours := result.median(OURS, 64):
        # A request waits for a turn through all connections, as a rule; more than twice that is a straggler.
        yield _at_most(f"{result.model} p99 at 64 connections, in turns", ours.p99_ms * ours.rate / 64e3, 2.2, "turns")
        if theirs := result.median("mosec-tuned", 64):
            yield _at_most(f"{result.model} p99 at 64 connections", ours.p99_ms, theirs.p99_ms, "ms, mosec-tuned's")
            share = ours.cpu_ms / max(theirs.cpu_ms, 1e-9)
            yield _at_most(f"{result.model} server CPU a request at 64", share, 0.8, "of mosec-tuned's")
    if facts := result.servers.get(OURS):
        yield _at_most(f"{result.model} ready after", facts.ready_s, 1.0, "s")
        yield _at_most(f"{result.model} resident in the largest process", facts.largest_mb, 120, "MB")


def _adds_little(result: ModelResult) -> Iterator[Bound]:
    """What a request takes beyond decoding its image and running it."""
    if (ours := result.median(OURS, 1)) and (latency := result.latency()):
        what = f"{result.model} adds to decoding and the run at 1 connection,"
        yield _at_most(f"{what} p50", ours.p50_ms - latency.p50_ms, 0.5, "ms")
        yield _at_most(f"{what} p99", ours.p99_ms - latency.p99_ms, 1.5, "ms")


def _beat(result: ModelResult, peer: str, connections: int, times: float) -> Iterator[Bound]:
    ours, theirs = result.median(OURS, connections), result.median(peer, connections)
    if ours and theirs:
        yield _at_least(result, ours, theirs, times, peer)


def _at_least(result: ModelResult, ours: Sample, theirs: Sample, times: float, whom: str) -> Bound:
    ratio = ours.rate / max(theirs.rate, 1e-9)
    return Bound(
        f"{result.model} at {ours.connections} connections >= {times:g} x {whom}: {ratio:.2f} x", ratio >= times
    )


def _at_most(what: str, value: float, most: float, unit: str) -> Bound:
    return Bound(f"{what} <= {most:.3g} {unit}: {value:.3g}", value <= most)


def _near_limit(result: ModelResult, counts: Sequence[int], least: float) -> Iterator[Bound]:
    limit = result.limit()
    for connections in counts:
        ours = result.median(OURS, connections)
        if ours and limit:
            share = ours.rate / limit.rate
            text = f"{result.model} at {connections} connections >= {least:g} of the in-process limit: {share:.3f}"
            yield Bound(text, share >= least)


def _beat_best(result: ModelResult) -> Iterator[Bound]:
    """The best peer at any number of connections against our best."""
    ours = [sample for count in result.connections() if (sample := result.median(OURS, count))]
    theirs = [sample for count in result.connections() if (sample := result.best_peer(count))]
    if ours and theirs:
        ratio = max(s.rate for s in ours) / max(s.rate for s in theirs)
        yield Bound(f"{result.model} >= the best peer, each at its best: {ratio:.2f} x", ratio >= 1)


def _large_photos(result: ModelResult) -> Iterator[Bound]:
    for connections in result.connections():
        yield from _beat(result, "naive", connections, 3.0)
        yield from _beat(result, "mosec-tuned", connections, 1.0)
    if result.changed is not None:
        yield _at_most("MobileNetV2 answers changed by reduced decoding", result.changed, 1, "of the photos")


def _every_model(result: ModelResult) -> Iterator[Bound]:
    found = {count: sample for count in result.connections() if (sample := result.median(OURS, count))}
    if 8 in found and 64 in found:
        ratio = found[64].rate / max(found[8].rate, 1e-9)
        yield Bound(f"{result.model} no slower at 64 connections than at 8: {ratio:.3f} x", ratio >= 1)
    if 8 in found:
        ratio = found[8].p99_ms / max(found[8].p50_ms, 1e-9)
        yield Bound(f"{result.model} p99 at 8 connections < 3 x p50: {ratio:.2f} x", ratio < 3)
    if not found:
        yield Bound(f"{result.model} measured: it {result.failures.get(OURS, 'was not')}", False)
        return
    errors = sum(sample.errors for sample in found.values())
    wrong = next((sample.wrong_answer for sample in found.values() if sample.wrong_answer), "")
    yield Bound(f"{result.model} without errors: {errors:,}{f' ({wrong})' if wrong else ''}", errors == 0)
