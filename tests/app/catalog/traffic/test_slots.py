"""Which model a weighted alias gives to whom."""

from collections import Counter
from random import Random

import pytest

from app.aliases import SLOTS
from app.catalog.traffic.slots import assign_slots, find_slot, read_table, write_table

A, B, C = "a/1", "b/2", "c"


def shares(table: list[str]) -> dict[str, float]:
    return {target: slots / SLOTS for target, slots in Counter(table).items()}


def count_moved(before: list[str], after: list[str]) -> int:
    return sum(old != new for old, new in zip(before, after, strict=True))


def test_each_target_gets_its_share_of_the_slots() -> None:
    assert shares(assign_slots({A: 90, B: 10})) == {A: 0.9, B: 0.1}
    assert shares(assign_slots({A: 1, B: 0, C: 3})) == {A: 0.25, C: 0.75}
    assert Counter(assign_slots({A: 1, B: 1, C: 1})).keys() == {A, B, C}
    assert len(assign_slots({A: 1, B: 1, C: 1})) == SLOTS


def test_who_is_not_concerned_by_a_change_stays() -> None:
    before = assign_slots({A: 50, B: 40, C: 10})
    after = assign_slots({A: 50, B: 30, C: 20}, before)
    assert shares(after) == {A: 0.5, B: 0.3, C: 0.2}
    assert {(old, new) for old, new in zip(before, after, strict=True) if old != new} == {(B, C)}
    assert count_moved(before, after) == SLOTS / 10


def test_as_few_slots_as_possible_change_hands_whatever_the_weights_become() -> None:
    random = Random(29)
    table = assign_slots({A: 1})
    for _ in range(50):
        weights = {target: random.randrange(20) for target in (A, B, C, "d", "e")}
        weights[A] += 1
        after = assign_slots(weights, table)
        gained = Counter(after) - Counter(table)
        assert count_moved(table, after) == sum(gained.values())
        assert len(after) == SLOTS
        table = after


def test_two_targets_have_the_same_table_whatever_came_before() -> None:
    table = assign_slots({A: 90, B: 10})
    for share in (20, 5, 100, 0, 50):
        table = assign_slots({A: 100 - share, B: share}, table)
        assert table == assign_slots({A: 100 - share, B: share})


def test_a_table_is_read_as_it_was_written() -> None:
    table = assign_slots({A: 20, B: 40, C: 40}, assign_slots({A: 60, B: 10, C: 30}))
    assert read_table(write_table(table)) == table
    assert len(write_table(table)) < 10


@pytest.mark.parametrize("alias", ["best", "other"])
def test_clients_are_spread_evenly_over_the_slots(alias: str) -> None:
    counts = Counter(find_slot(alias, f"user-{number}") * 10 // SLOTS for number in range(20_000))
    expected = 20_000 / 10
    assert sum((counts[tenth] - expected) ** 2 / expected for tenth in range(10)) < 45  # 9 degrees: p > 1e-6


def test_two_aliases_spread_their_clients_independently() -> None:
    same = sum(find_slot("best", f"{n}") < SLOTS / 2 and find_slot("other", f"{n}") < SLOTS / 2 for n in range(4000))
    assert 850 < same < 1150
