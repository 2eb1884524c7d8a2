"""`convserve bench`: how fast a model runs at each batch size on this machine, in this process, without HTTP.

A table for people, and a plot as SVG, written by hand: a server needs no plotting library.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from html import escape
from math import log2
from pathlib import Path

import numpy as np

from app.client.local_version import find_version
from app.client.terminal import draw_bar
from app.inference.model import ReadySession, prepare_session
from app.inference.session import Observed, OnnxSession, batch_sizes
from app.settings import Settings
from artifact.images.frame import Pixels

_BURN_IN = 3
_WIDTH, _HEIGHT = 640, 360
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 20, 64, 48
_INK, _SOFT, _GRID, _LINE, _MARK = "#1b232c", "#55606d", "#d8d9d4", "#1f6b58", "#b0563c"


@dataclass(frozen=True)
class Speed:
    """One batch size: the median of its runs, and of those that asked for the features too."""

    rows: int
    seconds: float
    observed_seconds: float | None
    """None for a network without features."""

    @property
    def images_per_second(self) -> float:
        return self.rows / self.seconds


def load(settings: Settings, model: str, version: int | None = None) -> ReadySession:
    """The newest version, or the one asked for, checked and warmed. Raises ArtifactError."""
    return prepare_session(find_version(settings, model, version), settings.of_model(model))


def sweep(ready: ReadySession, seconds: float = 1.0) -> list[Speed]:
    """Speeds at batch sizes 1, 2, 4, ... and the largest, each measured for about `seconds`."""
    session = ready.session
    generator = np.random.default_rng(0)
    speeds = []
    for size in batch_sizes(session.max_batch_size):
        rows: list[Pixels] = list(generator.integers(0, 256, (size, *ready.card.image.shape), dtype=np.uint8))
        plain = _median_run(session, rows, seconds)
        observed = None
        if ready.card.features:
            observed = _median_run(session, [row.view(Observed) for row in rows], seconds)
        speeds.append(Speed(size, plain, observed))
    return speeds


def _median_run(session: OnnxSession, rows: list[Pixels], seconds: float) -> float:
    """Median seconds of a run; at least five runs, whatever they take."""
    for _ in range(_BURN_IN):
        session.run(rows)
    taken: list[float] = []
    while len(taken) < 5 or sum(taken) < seconds:
        start = time.perf_counter()
        session.run(rows)
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def write_table(speeds: list[Speed], served: int) -> str:
    """Lines with bars: batch size, images a second, milliseconds a batch, and with the features asked for; and that the
    server's batches have up to `served` rows.
    """
    best = max(speed.images_per_second for speed in speeds)
    observed = any(speed.observed_seconds is not None for speed in speeds)
    lines = [f"{'batch':>5}  {'images/s':>10}  {'ms':>9}" + (f"  {'ms, features':>12}" if observed else "")]
    for speed in speeds:
        line = f"{speed.rows:5}  {speed.images_per_second:10,.0f}  {speed.seconds * 1e3:9.2f}"
        if speed.observed_seconds is not None:
            line += f"  {speed.observed_seconds * 1e3:12.2f}"
        lines.append(f"{line}  {draw_bar(round(30 * speed.images_per_second / best))}")
    return "\n".join([*lines, _describe_served(served)])


def _describe_served(served: int) -> str:
    return f"the server's batches have up to {served:,} row{'s' * (served != 1)}"


def draw_plot(title: str, speeds: list[Speed], served: int) -> str:
    """Images a second over the batch size (each doubling a step) as an SVG document; a dashed line marks the rows that
    the server's batches have at most, `served`.
    """
    highest = _round_up(max(speed.images_per_second for speed in speeds))
    steps = max(1.0, log2(speeds[-1].rows))

    def x(rows: int) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * log2(rows) / steps

    def y(value: float) -> float:
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * value / highest

    grid = [
        f'<path d="M{_LEFT} {y(v):.1f}H{_WIDTH - _RIGHT}" stroke="{_GRID}"/>'
        f'<text x="{_LEFT - 8}" y="{y(v) + 4:.1f}" text-anchor="end">{v:,.0f}</text>'
        for v in (highest * quarter / 4 for quarter in range(5))
    ]
    points = [(x(speed.rows), y(speed.images_per_second), speed) for speed in speeds]
    marks = [
        f'<circle cx="{px:.1f}" cy="{py:.1f}" r="4" fill="{_LINE}"/>'
        f'<text x="{px:.1f}" y="{_HEIGHT - _BOTTOM + 18}" text-anchor="middle">{speed.rows}</text>'
        f"<title>{speed.rows} rows: {speed.images_per_second:,.0f} images/s</title>"
        for px, py, speed in points
    ]
    line = " ".join(f"{px:.1f},{py:.1f}" for px, py, _ in points)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}"'
            f' font-family="system-ui, sans-serif" font-size="12" fill="{_SOFT}">',
            f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>',
            f'<text x="{_LEFT}" y="24" font-size="15" fill="{_INK}">{escape(title)}</text>',
            f'<text x="{_LEFT}" y="43">images a second by batch size; '
            f'<tspan fill="{_MARK}">{_describe_served(served)}</tspan></text>',
            *grid,
            f'<path d="M{x(served):.1f} {_TOP}V{_HEIGHT - _BOTTOM}" stroke="{_MARK}" stroke-dasharray="5 4"/>',
            f'<polyline points="{line}" fill="none" stroke="{_LINE}" stroke-width="2"/>',
            *(f"<g>{mark}</g>" for mark in marks),
            f'<text x="{(_LEFT + _WIDTH - _RIGHT) / 2}" y="{_HEIGHT - 10}" text-anchor="middle">rows in a batch</text>',
            f'<text x="14" y="{(_TOP + _HEIGHT - _BOTTOM) / 2}" text-anchor="middle" '
            f'transform="rotate(-90 14 {(_TOP + _HEIGHT - _BOTTOM) / 2})">images a second</text>',
            "</svg>",
            "",
        ]
    )


def _round_up(value: float) -> float:
    """The next of 1, 2, 4, 8 or 10 times a power of ten: an axis whose quarters are readable."""
    power = 1.0
    while power * 10 <= value:
        power *= 10
    while power > value:
        power /= 10
    return next(step * power for step in (1, 2, 4, 8, 10) if step * power >= value)


def run_bench(settings: Settings, model: str, *, version: int | None, plot: Path | None, seconds: float) -> str:
    """Measure, write the plot where one is wanted, and give the text to print."""
    ready = load(settings, model, version)
    speeds = sweep(ready, seconds)
    served = ready.plan.batch_size
    title = f"{ready.card.name} {ready.card.version}, {ready.card.precision}, on {ready.session.device.name}"
    if plot is not None:
        plot.write_text(draw_plot(title, speeds, served), encoding="utf-8")
    return f"{title}\n{write_table(speeds, served)}"
