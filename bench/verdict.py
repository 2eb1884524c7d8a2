"""What a benchmark promises, and whether this run kept it."""

from __future__ import annotations

from collections.abc import Mapping


def print_bounds(kept: Mapping[str, bool]) -> int:
    """A line for each bound, by its words; the exit status, 0 where all were kept."""
    for bound, held in kept.items():
        print(f"{'ok    ' if held else 'FAILED'} {bound}")
    return 0 if all(kept.values()) else 1
