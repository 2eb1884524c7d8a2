"""A snapshot as text for Prometheus, version 0.0.4."""

from __future__ import annotations

from collections.abc import Sequence

from app.observe.drift import find_drift
from app.observe.families import FAMILIES, Family
from app.observe.metrics import Snapshot


def render(snapshot: Snapshot) -> str:
    """Every series that is shown, by family. Counts by model that never counted anything are left out: with
    hundreds of models, most of them idle, they would be nearly all of it.
    """
    shown = snapshot | find_drift(snapshot)
    lines: list[str] = []
    for name, family in FAMILIES.items():
        if family.internal:
            continue
        shows_zero = family.kind == "gauge" or not family.labels
        if series := {labels: values for labels, values in shown.get(name, {}).items() if shows_zero or any(values)}:
            lines += [f"# HELP {name} {family.help}", f"# TYPE {name} {family.kind}"]
            for labels, values in sorted(series.items()):
                pairs = list(zip(family.labels, labels, strict=True))
                lines += (
                    _render_histogram(name, pairs, family, values)
                    if family.bounds
                    else [f"{name}{_braces(pairs)} {_number(values[0])}"]
                )
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
