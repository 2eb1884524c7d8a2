"""A clock that stands where a test puts it: no test waits."""

import pytest

from app.batching.arrivals import Arrivals

PATIENCE_S = 0.010


def answer(arrivals: Arrivals, rows: int, *came: float) -> None:
    """A batch of `rows` ends at 0; the next rows come at these times."""
    arrivals.expect(rows, 0.0)
    for now in came:
        arrivals.note_arrival(now)


@pytest.mark.parametrize(
    ("came", "are_prompt"),
    [
        ((0.001, 0.002), True),
        ((0.001, PATIENCE_S), True),
        ((0.001, 0.011), False),
        ((0.001,), False),
        ((), False),
    ],
)
def test_clients_are_prompt_once_as_many_came_in_time_as_were_answered(
    came: tuple[float, ...], are_prompt: bool
) -> None:
    arrivals = Arrivals(PATIENCE_S)
    answer(arrivals, 2, *came)
    assert arrivals.are_prompt == are_prompt


def test_prompt_clients_are_waited_for_until_their_time_is_over() -> None:
    arrivals = Arrivals(PATIENCE_S)
    answer(arrivals, 2, 0.001, 0.002)
    assert arrivals.worth_waiting_until == 0.0, "nobody is expected"
    arrivals.expect(2, 1.0)
    assert arrivals.worth_waiting_until == 1.0 + PATIENCE_S
    arrivals.forget_late(1.0 + PATIENCE_S / 2)
    assert arrivals.expected == 2
    arrivals.forget_late(1.0 + PATIENCE_S)
    assert (arrivals.expected, arrivals.worth_waiting_until) == (0, 0.0)
    arrivals.expect(2, 2.0)
    assert arrivals.worth_waiting_until == 0.0, "they were late the last time"


def test_prompt_clients_rows_are_shared_among_all_runners_and_others_among_idle_ones() -> None:
    arrivals = Arrivals(PATIENCE_S)
    assert arrivals.count_batch_rows(waiting=5, running=4, idle=1, runners=2) == 5
    answer(arrivals, 1, 0.001)
    arrivals.expect(2, 1.0)
    assert arrivals.count_batch_rows(waiting=5, running=4, idle=1, runners=2) == 6
