"""Lines over a doubling axis as SVG, written by hand: a machine that is rented needs no plotting library."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from math import ceil, floor, log2, log10

_WIDTH, _HEIGHT = 760, 420
_LEFT, _RIGHT, _TOP, _BOTTOM = 80, 190, 50, 50
_NAME_HEIGHT = 14
COLORS = ("#1f6b58", "#4c6a92", "#b0563c", "#7a5c8e", "#5f7f3a", "#a0527a", "#3f8a96", "#8c6a4a")

Lines = Mapping[str, Mapping[int, float]]
"""Values by place on the axis, of each line by its name."""


def draw_lines(title: str, axis: str, lines: Lines) -> str:
    """An SVG document; both axes are logarithmic, names stand at the ends of their lines. Values of 0 are left out."""
    shown = {name: {x: y for x, y in sorted(line.items()) if y > 0} for name, line in lines.items()}
    shown = {name: line for name, line in shown.items() if line}
    places = sorted({x for line in shown.values() for x in line})
    values = [y for line in shown.values() for y in line.values()]
    if not values:
        return _document(title, [])
    low, high = 10.0 ** floor(log10(min(values))), 10.0 ** ceil(log10(max(values) * 1.0001))
    across, up = log2(places[-1] / places[0]) or 1.0, log10(high / low)

    def x_of(place: int) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * log2(place / places[0]) / across

    def y_of(value: float) -> float:
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * log10(value / low) / up

    body = [
        f'<path d="M{_LEFT} {y_of(low * 10**power):.1f}H{_WIDTH - _RIGHT}" stroke="#d8d9d4"/>'
        f'<text x="{_LEFT - 8}" y="{y_of(low * 10**power) + 4:.1f}" text-anchor="end">{low * 10**power:,g}</text>'
        for power in range(round(up) + 1)
    ]
    body += [f'<text x="{x_of(place):.1f}" y="{_HEIGHT - 28}" text-anchor="middle">{place}</text>' for place in places]
    body.append(
        f'<text x="{(_LEFT + _WIDTH - _RIGHT) / 2}" y="{_HEIGHT - 8}" text-anchor="middle">{escape(axis)}</text>'
    )
    ends = sorted(((y_of(list(line.values())[-1]), name) for name, line in shown.items()), reverse=True)
    heights = _spread([height for height, _ in ends])
    named = {name: height for (_, name), height in zip(ends, heights, strict=True)}
    for number, (name, line) in enumerate(shown.items()):
        color = COLORS[number % len(COLORS)]
        points = " ".join(f"{x_of(place):.1f},{y_of(value):.1f}" for place, value in line.items())
        body.append(f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="2"/>')
        last = x_of(list(line)[-1])
        body.append(f'<text x="{last + 6:.1f}" y="{named[name] + 4:.1f}" fill="{color}">{escape(name)}</text>')
    return _document(title, body)


def _spread(heights: list[float]) -> list[float]:
    """From the lowest name up, each at least a line above the one before."""
    placed: list[float] = []
    for height in heights:
        placed.append(min(height, placed[-1] - _NAME_HEIGHT) if placed else height)
    return placed


def _document(title: str, body: list[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}"'
        ' font-family="system-ui, sans-serif" font-size="12" fill="#55606d">'
    )
    background = f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>'
    heading = f'<text x="{_LEFT}" y="26" font-size="15" fill="#1b232c">{escape(title)}</text>'
    return "\n".join([head, background, heading, *body, "</svg>", ""])
