"""The search: the highest rate of one setting, and from setting to setting the best. Knows no service: rates in, rates
out.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from math import sqrt
from typing import TypeVar

S = TypeVar("S", bound=Hashable)

Dimension = Callable[[S], Iterable[Sequence[S]]]
"""Gives, for a setting, sequences of further settings. Each sequence is tried in order as long as each setting is
better than the one before.
"""

FINEST = 1.03
"""Rates that differ by less than this factor count as equal."""
_LOWERED, _MOST_LOWERED = 0.05, 0.4
"""By how much of itself a rate that doesn't hold for long is lowered, at first and at most."""


def find_highest_rate(holds: Callable[[float], bool], lowest: float, growth: float = 2.0) -> float:
    """The highest rate that `holds`, to within FINEST and by a binary search, from `lowest` on; 0 where not even that
    does. Rates are first multiplied by `growth` until one doesn't hold.
    """
    low, rate = 0.0, lowest
    while holds(rate):
        low, rate = rate, growth * rate
    if not low:
        return 0.0
    high = rate
    while high > FINEST * low:
        middle = sqrt(low * high)
        if holds(middle):
            low = middle
        else:
            high = middle
    return low


def climb(first: S, dimensions: Sequence[Dimension[S]], beat: Callable[[S, float], float]) -> tuple[S, float]:
    """The best setting that is found from `first` on, one dimension after another, and its rate.

    `beat` gives the highest rate of a setting, or 0 where it isn't higher than the one given. Nothing is tried twice.
    It ends where no dimension leads to a better one.
    """
    best, rate = first, beat(first, 0.0)
    tried, rises = {first}, True
    while rises:
        rises = False
        for vary in dimensions:
            for path in vary(best):
                for setting in path:
                    if setting in tried:
                        break
                    tried.add(setting)
                    found = beat(setting, rate)
                    if found <= rate:
                        break
                    best, rate, rises = setting, found, True
    return best, rate


def lower_until(holds: Callable[[float], bool], rate: float, lowest: float) -> float:
    """The first rate that `holds` of `rate`, 5 % less, then 10 % less than that, 20 and so on; 0 where none above
    `lowest` does. A try takes long: where a small step wasn't enough, a larger one ends it sooner.
    """
    step = _LOWERED
    while rate >= lowest:
        if holds(rate):
            return rate
        rate *= 1 - step
        step = min(2 * step, _MOST_LOWERED)
    return 0.0
