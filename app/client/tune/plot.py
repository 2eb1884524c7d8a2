"""The plot of a search as SVG: p99 over the rate, one line per setting, the bound, and the chosen one in color."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import isfinite, log

from app.client.tune.report import Found
from app.client.tune.setting import Setting
from app.client.tune.trials import Trial

_WIDTH, _HEIGHT = 760, 420
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 24, 84, 52
_INK, _SOFT, _GRID = "#1b232c", "#55606d", "#d8d9d4"
_CHOSEN, _FIRST, _OTHER, _BOUND = "#1f6b58", "#4c6a92", "#b4b8bd", "#b0563c"
# What is far above the bound is drawn at the upper edge.
_HIGHEST = 8.0
_MOST_TICKS = 8


@dataclass(frozen=True)
class _Frame:
    """From requests/s and ms to the picture."""

    rate: float
    low_ms: float
    high_ms: float

    def x(self, rate: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * rate / self.rate

    def y(self, ms: float) -> float:
        inside = min(max(ms, self.low_ms), self.high_ms)
        share = log(inside / self.low_ms) / log(self.high_ms / self.low_ms)
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * share


def draw_plot(found: Found) -> str:
    """An SVG document; the p99 on a logarithmic axis. `found` has a trial at least."""
    trials = [*found.searched, *found.confirmed]
    p99s = [found.p99_ms, *(trial.result.p99_ms for trial in trials if isfinite(trial.result.p99_ms))]
    highest = min(max(p99s), _HIGHEST * found.p99_ms)
    frame = _Frame(1.05 * max(trial.rate for trial in trials), min(p99s) / 1.4, highest * 1.4)
    chosen = found.chosen
    named = {setting: _FIRST for setting in (found.first,) if setting is not None}
    if chosen is not None:
        named[chosen.setting] = _CHOSEN
    others = [setting for setting in found.settings() if setting not in named]
    lines = [*((setting, _OTHER) for setting in others), *named.items()]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}"'
            f' font-family="system-ui, sans-serif" font-size="12" fill="{_SOFT}">',
            f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>',
            *_draw_head(found, named, len(others)),
            *_draw_axes(frame, found.p99_ms),
            *(part for setting, color in lines for part in _draw_line(frame, found.trials_of(setting), color)),
            *(_draw_chosen(frame, chosen) if chosen is not None else ()),
            "</svg>",
            "",
        ]
    )


def _draw_head(found: Found, named: Mapping[Setting, str], others: int) -> Iterator[str]:
    """What is chosen, and which line is which."""
    chosen = found.chosen
    rate = f"{chosen.rate:,.1f} requests/s keep" if chosen is not None else "no rate keeps"
    title = f"{found.model}: {rate} a p99 of {found.p99_ms:g} ms"
    yield f'<text x="{_LEFT}" y="24" font-size="15" fill="{_INK}">{escape(title)}</text>'
    entries = []
    for setting, color in named.items():
        words = [*(["chosen"] if color == _CHOSEN else []), *(["as it comes"] if setting == found.first else [])]
        entries.append((color, f"{', '.join(words)}: {setting}"))
    entries += [(_OTHER, f"{others} other settings" if others > 1 else "another setting")] if others else []
    for place, (color, text) in enumerate(entries):
        y = 46 + 17 * place
        yield f'<path d="M{_LEFT} {y - 4}h16" stroke="{color}" stroke-width="3"/>'
        yield f'<text x="{_LEFT + 24}" y="{y}">{escape(text)}</text>'


def _draw_axes(frame: _Frame, p99_ms: float) -> Iterator[str]:
    right, floor = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    for ms in _list_round_numbers():
        if frame.low_ms < ms < frame.high_ms:
            y = frame.y(ms)
            yield f'<path d="M{_LEFT} {y:.1f}H{right}" stroke="{_GRID}"/>'
            yield f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{ms:g}</text>'
    step = next(step for step in _list_round_numbers() if frame.rate <= _MOST_TICKS * step)
    for rate in (place * step for place in range(int(frame.rate / step) + 1)):
        yield f'<text x="{frame.x(rate):.1f}" y="{floor + 18}" text-anchor="middle">{rate:,g}</text>'
    bound = frame.y(p99_ms)
    yield f'<path d="M{_LEFT} {bound:.1f}H{right}" stroke="{_BOUND}" stroke-width="1.5" stroke-dasharray="5 4"/>'
    yield f'<text x="{_LEFT + 6}" y="{bound - 6:.1f}" fill="{_BOUND}">--p99 {p99_ms:g} ms</text>'
    middle = (_TOP + floor) / 2
    yield f'<text x="{(_LEFT + right) / 2}" y="{_HEIGHT - 12}" text-anchor="middle">requests a second</text>'
    yield f'<text x="{right}" y="{_HEIGHT - 12}" text-anchor="end">filled: p99 kept, hollow: not kept</text>'
    yield f'<text x="16" y="{middle}" text-anchor="middle" transform="rotate(-90 16 {middle})">p99, ms</text>'


def _draw_line(frame: _Frame, trials: Sequence[Trial], color: str) -> Iterator[str]:
    """A setting's trials: filled where the p99 was kept, hollow where it wasn't. The line leads through those that kept
    it to the first rate beyond: what ended early says only that the p99 is higher.
    """
    points = [(frame.x(trial.rate), frame.y(trial.result.p99_ms), trial) for trial in trials]
    held = [point for point in points if point[2].holds]
    beyond = [point for point in points if not held or point[0] > held[-1][0]]
    way = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in [*held, *beyond[:1]])
    yield f'<polyline points="{way}" fill="none" stroke="{color}" stroke-width="{1.2 if color == _OTHER else 2}"/>'
    for x, y, trial in points:
        fill = color if trial.holds else "#fff"
        yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{fill}" stroke="{color}" stroke-width="1.5">'
        yield f"<title>{escape(f'{trial.setting}: {trial}')}</title></circle>"


def _list_round_numbers() -> Iterator[float]:
    """0.001, 0.002, 0.005, 0.01 and so on, to 5,000,000."""
    return (step * 10.0**power for power in range(-3, 7) for step in (1, 2, 5))


def _draw_chosen(frame: _Frame, chosen: Trial) -> Iterator[str]:
    """A ring around it, and its rate."""
    x, y = frame.x(chosen.rate), frame.y(chosen.result.p99_ms)
    yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="8" fill="none" stroke="{_CHOSEN}" stroke-width="2.5"/>'
    yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{_CHOSEN}"/>'
    aside, anchor = (14, "start") if x < _WIDTH - 6 * _RIGHT else (-14, "end")
    yield (
        f'<text x="{x + aside:.1f}" y="{y + 16:.1f}" text-anchor="{anchor}" font-weight="bold" fill="{_CHOSEN}">'
        f"{chosen.rate:,.1f}/s for {chosen.seconds:g} s</text>"
    )
