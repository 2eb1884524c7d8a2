from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest

from app.client.tune.search import FINEST, climb, find_highest_rate, lower_until


class Fake(NamedTuple):
    """A setting of a server that can do so much."""

    workers: int = 1
    batch: int = 32
    wait: int = 0

    @property
    def capacity(self) -> float:
        return 100.0 * self.workers * (2 if self.batch == 8 else 1.5 if self.batch == 16 else 1) - 5 * self.wait


def holds_up_to(capacity: float, asked: list[float]) -> Callable[[float], bool]:
    """Latency of a queue: 10 ms alone, without limit at the capacity; the p99 is to stay within 50 ms."""

    def holds(rate: float) -> bool:
        asked.append(rate)
        return rate < capacity and 10 / (1 - rate / capacity) <= 50

    return holds


@pytest.mark.parametrize("capacity", [11.0, 100.0, 7_777.0])
@pytest.mark.parametrize("lowest", [1.0, 8.0])
def test_the_highest_rate_is_found_in_few_trials(capacity: float, lowest: float) -> None:
    asked: list[float] = []
    found = find_highest_rate(holds_up_to(capacity, asked), lowest)
    assert 0.8 * capacity / FINEST <= found <= 0.8 * capacity
    assert len(asked) <= 20


def test_a_bound_that_is_kept_at_no_rate_costs_one_trial() -> None:
    asked: list[float] = []
    assert find_highest_rate(holds_up_to(1.0, asked), 2.0) == 0
    assert asked == [2.0]


def workers(setting: Fake) -> Iterator[list[Fake]]:
    for count in (1, 2):
        yield [setting._replace(workers=count)]


def batches(setting: Fake) -> Iterator[list[Fake]]:
    yield [setting._replace(batch=rows) for rows in (16, 8, 4, 2, 1) if rows < setting.batch]


def waits(setting: Fake) -> Iterator[list[Fake]]:
    yield [setting._replace(wait=wait) for wait in (2, 5, 10) if wait > setting.wait]


def test_the_best_setting_is_found_one_dimension_after_another_and_none_is_tried_twice() -> None:
    tried: list[Fake] = []

    def beat(setting: Fake, above: float) -> float:
        tried.append(setting)
        return setting.capacity if setting.capacity > above else 0.0

    best, rate = climb(Fake(), [workers, batches, waits], beat)
    assert (best, rate) == (Fake(workers=2, batch=8), 400.0)
    assert len(tried) == len(set(tried))
    # The path over batch sizes ends at the first that loses, that over waits at once.
    assert tried == [
        Fake(1, 32, 0),
        Fake(2, 32, 0),
        Fake(2, 16, 0),
        Fake(2, 8, 0),
        Fake(2, 4, 0),
        Fake(2, 8, 2),
        Fake(1, 8, 0),
    ]


def test_the_search_goes_on_from_a_setting_that_isnt_the_first_where_that_cant_be_had() -> None:
    best, rate = climb(Fake(), [workers], lambda setting, above: 0.0 if setting.workers == 1 else 7.0)
    assert (best, rate) == (Fake(workers=2), 7.0)


def test_a_rate_is_lowered_until_it_holds_or_nothing_is_left() -> None:
    tried: list[float] = []
    assert lower_until(lambda rate: tried.append(rate) or rate <= 60, 100, 1) == pytest.approx(
        100 * 0.95 * 0.9 * 0.8 * 0.6
    )
    assert tried == pytest.approx([100, 95, 85.5, 68.4, 41.04])
    assert lower_until(lambda rate: False, 100, 50) == 0
