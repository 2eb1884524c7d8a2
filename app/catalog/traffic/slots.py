"""The table of a weighted alias: SLOTS entries, each the target (a model) of one slot; every client has a slot.

Knows no requests. When the weights change, the previous table is changed in as few slots as the new weights allow, so
that clients keep their models. A function of the weights alone can't do that for three models or more.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby

from app.aliases import SLOTS


def assign_slots(weights: Mapping[str, float], previous: Sequence[str] = ()) -> list[str]:
    """The target of each of the SLOTS slots. `previous` is the alias's table until now, SLOTS entries (one of another
    length is ignored): each target then loses or gains only as many slots as its share fell or rose.
    """
    wanted = _count_slots(weights)
    # The table if there were no previous one.
    new = [target for target, count in wanted.items() for _ in range(count)]
    if len(previous) != SLOTS:
        return new
    table = list(previous)
    free: list[int] = []
    for target, held in Counter(previous).items():
        if (excess := held - wanted.get(target, 0)) > 0:
            # First the slots that `new` gives to another target: an alias of two targets then always ends with `new`.
            slots = sorted((s for s in range(SLOTS) if previous[s] == target), key=lambda s: new[s] == target)
            free += slots[:excess]
    free_set = set(free)
    lacking = Counter(wanted)
    lacking.subtract(target for slot, target in enumerate(previous) if slot not in free_set)
    left: list[int] = []
    for slot in sorted(free):
        if lacking[new[slot]] > 0:
            table[slot] = new[slot]
            lacking[new[slot]] -= 1
        else:
            left.append(slot)
    for slot, target in zip(left, lacking.elements(), strict=True):
        table[slot] = target
    return table


def find_slot(alias: str, client: str) -> int:
    """The slot of a client of an alias: the same in every process, and independent of its slots of other aliases."""
    digest = hashlib.blake2b(f"{alias}\0{client}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) % SLOTS


def write_table(table: Iterable[str]) -> list[list[object]]:
    """The table for JSON, run-length encoded: [target, length] for each run of equal targets."""
    return [[target, len(list(run))] for target, run in groupby(table)]


def read_table(written: Iterable[Sequence[object]]) -> list[str]:
    """The table that `write_table` encoded."""
    return [str(target) for target, length in written for _ in range(int(str(length)))]


def _count_slots(weights: Mapping[str, float]) -> dict[str, int]:
    """Number of slots of each target, rounded so that they sum to SLOTS."""
    whole = sum(weights.values())
    exact = {target: SLOTS * weight / whole for target, weight in weights.items()}
    counts = {target: int(share) for target, share in exact.items()}
    by_remainder = sorted(exact, key=lambda target: counts[target] - exact[target])
    for target in by_remainder[: SLOTS - sum(counts.values())]:
        counts[target] += 1
    return counts
