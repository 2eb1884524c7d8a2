"""Requests a second over connections, one line a server, as SVG: log axes, names at the ends of their lines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("svg")

from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from bench.load.measurements import ModelResult
from bench.load.servers import OURS

INK, FAINT, OURS_COLOR, LIMIT_COLOR = "#1b232c", "#d8d9d4", "#1f6b58", "#8a6d1d"
PEER_COLORS = ("#4c6a92", "#b0563c", "#7a5c8e", "#5f7f3a", "#a0527a", "#3f8a96", "#8c6a4a", "#68707a")
# Least distance of two names, in points.
LINE_HEIGHT = 13.0
# Rates within this factor need more ticks than the powers of ten.
_NARROW = 30


def draw(result: ModelResult, to: Path) -> None:
    """Write the plot of one model."""
    with pyplot.rc_context(
        {"font.family": "sans-serif", "font.size": 10, "svg.hashsalt": "convserve", "text.color": INK}
    ):
        figure, axes = pyplot.subplots(figsize=(8, 4.6))
        ends = _draw_lines(axes, result)
        if (limit := result.limit()) is not None:
            axes.axhline(limit.rate, color=LIMIT_COLOR, linewidth=1, linestyle=(0, (4, 3)))
            ends.append(("in-process limit", limit.rate, LIMIT_COLOR))
        _dress(axes, result)
        figure.subplots_adjust(left=0.1, right=0.78, top=0.86, bottom=0.13)
        _name_lines(axes, ends)
        figure.savefig(to, metadata={"Date": None})
        pyplot.close(figure)


def _draw_lines(axes: Axes, result: ModelResult) -> list[tuple[str, float, str]]:
    """Name, last value and color of every line."""
    ends = []
    for place, name in enumerate(name for name in result.names()):
        color = OURS_COLOR if name == OURS else PEER_COLORS[(place - 1) % len(PEER_COLORS)]
        samples = [sample for count in result.connections() if (sample := result.median(name, count)) and sample.rate]
        if not samples:
            continue
        counts, rates = [s.connections for s in samples], [s.rate for s in samples]
        axes.plot(counts, rates, color=color, linewidth=2.6 if name == OURS else 1.5, marker="o", markersize=4)
        ends.append((name, rates[-1], color))
    return ends


def _dress(axes: Axes, result: ModelResult) -> None:
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(result.connections(), [str(count) for count in result.connections()])
    axes.xaxis.set_minor_locator(NullLocator())
    rates = [sample.rate for sample in result.samples if sample.rate]
    if rates and max(rates) < _NARROW * min(rates):
        axes.set_ylim(min(rates) / 2, max(rates) * 2)
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}" if value >= 1 else f"{value:g}"))
    axes.grid(axis="y", color=FAINT, linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(FAINT)
    axes.tick_params(colors="#55606d", length=0)
    axes.tick_params(which="minor", length=0)
    axes.set_xlabel("connections", color="#55606d")
    axes.set_title(f"{result.model}, requests a second", loc="left", fontsize=13, pad=22)
    axes.text(0, 1.03, result.title, transform=axes.transAxes, color="#55606d")


def _name_lines(axes: Axes, ends: Sequence[tuple[str, float, str]]) -> None:
    """Each name beside the end of its line, moved apart where they would overlap."""
    if not ends:
        return
    axes.figure.canvas.draw()
    points_a_pixel = 72 / axes.figure.dpi
    right = axes.transAxes.transform((1, 0))[0] * points_a_pixel
    placed = sorted(ends, key=lambda end: end[1])
    heights = [axes.transData.transform((1, rate))[1] * points_a_pixel for _, rate, _ in placed]
    for (name, _, color), height in zip(placed, spread(heights, LINE_HEIGHT), strict=True):
        weight = "bold" if name == OURS else "normal"
        axes.annotate(name, (right + 6, height), xycoords="figure points", color=color, weight=weight, va="center")


def spread(heights: Sequence[float], least: float) -> list[float]:
    """Rising heights moved as little as it takes to lie `least` apart: neighbors that touch move as one block."""
    blocks: list[list[float]] = []  # center, count
    for height in heights:
        blocks.append([height, 1])
        while len(blocks) > 1 and blocks[-1][0] - blocks[-2][0] < least * (blocks[-1][1] + blocks[-2][1]) / 2:
            center, count = blocks.pop()
            total = blocks[-1][1] + count
            blocks[-1] = [(blocks[-1][0] * blocks[-1][1] + center * count) / total, total]
    return [center + least * (place - (count - 1) / 2) for center, count in blocks for place in range(int(count))]
