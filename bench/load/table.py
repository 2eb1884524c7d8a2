"""Results as tables for people: a block for each number of connections, the in-process limit above it."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence

from bench.load.measurements import ModelResult, Sample
from bench.load.servers import OURS


def write_model(result: ModelResult) -> str:
    """Everything of one model."""
    parts = [f"== {result.model}: {result.title}"]
    if (limit := result.limit()) is not None:
        parts.append(f"in-process limit {limit.rate:,.1f} images/s: {limit.how}")
    if (latency := result.latency()) is not None:
        times = f"p50 {latency.p50_ms:.2f} ms, p99 {latency.p99_ms:.2f} ms"
        parts.append(f"one image after another in this process: {times}")
    if result.changed is not None:
        parts.append(f"reduced decoding changes {result.changed} of the photos' top-1 answers")
    parts += [f"left out: {name} {reason}" for name, reason in result.failures.items()]
    parts += [_closed_loop(result), _servers(result)]
    if result.open_samples:
        parts.append(_open_loop(result))
    return "\n".join(parts)


def write_cost_of_content(stretch: ModelResult, content: ModelResult) -> str:
    """What `fit content`, which finds the ink, costs over `stretch` with the same network."""
    lines = ["== the cost of fit content, which finds the ink of an image, over stretch"]
    for connections in stretch.connections():
        plain, fitted = stretch.median(OURS, connections), content.median(OURS, connections)
        if plain and fitted and plain.rate:
            more = 1e3 * (fitted.cpu_ms - plain.cpu_ms)
            ratio = fitted.rate / plain.rate
            lines.append(
                f"{connections} connections: {fitted.rate:,.1f} for {plain.rate:,.1f} requests/s ({ratio:.2f} x), "
                f"{more:+.0f} us of server CPU a request"
            )
    return "\n".join(lines)


def _closed_loop(result: ModelResult) -> str:
    limit = result.limit()
    rows = []
    for connections in result.connections():
        ours = result.median(OURS, connections)
        for name in result.names():
            sample = result.median(name, connections)
            if sample is None:
                continue
            rows.append(
                [
                    str(connections),
                    name,
                    *_figures(sample),
                    f"{ours.rate / sample.rate:.2f}" if ours and name != OURS and sample.rate else "",
                    f"{sample.rate / limit.rate:.2f}" if limit else "",
                ]
            )
    head = ["conn.", "server", "requests/s", "p50 ms", "p95 ms", "p99 ms", "errors", "CPU ms", "ours x", "of limit"]
    return align(head, rows)


def _figures(sample: Sample) -> list[str]:
    times = [f"{value:.2f}" for value in (sample.p50_ms, sample.p95_ms, sample.p99_ms)]
    return [f"{sample.rate:,.1f}", *times, f"{sample.errors:,}", f"{sample.cpu_ms:.3f}"]


def _servers(result: ModelResult) -> str:
    rows = [
        ["", name, f"{facts.ready_s:.2f}", f"{facts.memory_mb:,.0f}", f"{facts.largest_mb:,.0f}", facts.version]
        for name, facts in result.servers.items()
    ]
    return align(["", "server", "ready s", "memory MB", "largest process MB", "version"], rows)


def _open_loop(result: ModelResult) -> str:
    rows = []
    for target_rate in sorted({sample.result.target_rate for sample in result.open_samples}):
        for name in result.names():
            runs = [s.result for s in result.open_samples if s.server == name and s.result.target_rate == target_rate]
            if not runs:
                continue
            medians = [statistics.median(getattr(run, f"{part}_ms") for run in runs) for part in ("p50", "p95", "p99")]
            rate, sent_late = (statistics.median(getattr(run, part) for run in runs) for part in ("rate", "sent_late"))
            errors = sum(run.failed for run in runs)
            times = [f"{value:.2f}" for value in medians]
            rows.append([f"{target_rate:,.0f}", name, f"{rate:,.1f}", *times, f"{errors:,}", f"{sent_late:.1%}"])
    head = ["rate", "server", "answers/s", "p50 ms", "p95 ms", "p99 ms", "errors", "sent late"]
    return align(head, rows)


def align(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Columns of equal width: figures to the right, the second column, names, to the left."""
    table = [head, *rows]
    widths = [max(len(row[place]) for row in table) for place in range(len(head))]
    lines = [
        "  ".join(
            cell.ljust(width) if place == 1 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    ]
    return "\n".join(lines)
