"""Slots: which model a weighted alias gives to whom. Weights in, a table out; knows no requests.

A table is dealt once and then changed: where weights move, as few slots change hands as the new shares allow, so a
client whose share stays keeps its model. No function of the weights alone can do that for three models or more.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby

from app.aliases import SLOTS


def deal(weights: Mapping[str, float], before: Sequence[str] = ()) -> list[str]:
    """The target of each slot. Of a table that was dealt `before`, a target gives up only what its share lost, and gets
    only what it gained.
    """
    wanted = _count_slots(weights)
    fresh = [target for target, count in wanted.items() for _ in range(count)]
    if len(before) != SLOTS:
        return fresh
    dealt = list(before)
    free: list[int] = []
    for target, held in Counter(before).items():
        if (excess := held - wanted.get(target, 0)) > 0:
            # What a fresh table gives to others goes first: two targets then always have the same table.
            slots = sorted((s for s in range(SLOTS) if before[s] == target), key=lambda s: fresh[s] == target)
            free += slots[:excess]
    free_set = set(free)
    lacking = Counter(wanted)
    lacking.subtract(target for slot, target in enumerate(before) if slot not in free_set)
    left: list[int] = []
    for slot in sorted(free):
        if lacking[fresh[slot]] > 0:
            dealt[slot] = fresh[slot]
            lacking[fresh[slot]] -= 1
        else:
            left.append(slot)
    for slot, target in zip(left, lacking.elements(), strict=True):
        dealt[slot] = target
    return dealt


def find_slot(alias: str, client: str) -> int:
    """The slot of a client of an alias: the same in every process, and independent of its slots of other aliases."""
    digest = hashlib.blake2b(f"{alias}\0{client}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) % SLOTS


def write_table(table: Iterable[str]) -> list[list[object]]:
    """As JSON holds it: each run of one target and its length."""
    return [[target, len(list(run))] for target, run in groupby(table)]


def read_table(written: Iterable[Sequence[object]]) -> list[str]:
    """What `write_table` wrote."""
    return [str(target) for target, length in written for _ in range(int(str(length)))]


def _count_slots(weights: Mapping[str, float]) -> dict[str, int]:
    """Slots of each target: its share, rounded so that they are SLOTS together."""
    whole = sum(weights.values())
    exact = {target: SLOTS * weight / whole for target, weight in weights.items()}
    counts = {target: int(share) for target, share in exact.items()}
    by_remainder = sorted(exact, key=lambda target: counts[target] - exact[target])
    for target in by_remainder[: SLOTS - sum(counts.values())]:
        counts[target] += 1
    return counts
