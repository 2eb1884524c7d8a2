"""BusyPoll: when the loop stays awake, and when it goes to sleep again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from app.server.busy_poll import SOON_S, BusyPoll

SOON, LATE = SOON_S / 2, SOON_S * 2


class Loop:
    """Turns only when told to."""

    def __init__(self) -> None:
        self.ready: list[tuple[Callable[..., object], tuple[Any, ...]]] = []

    def call_soon(self, function: Callable[..., object], *arguments: Any) -> None:
        self.ready.append((function, arguments))

    def turn(self) -> None:
        ready, self.ready = self.ready, []
        for function, arguments in ready:
            function(*arguments)


class Client:
    """One connection, whose requests come after given gaps and are answered at once."""

    def __init__(self) -> None:
        self.now = 0.0
        self.loop = Loop()
        self.poll = BusyPoll(lambda: self.now)

    def ask(self, gap: float, times: int = 1) -> None:
        for _ in range(times):
            self.now += gap
            self.poll.note_request(self.now)
            self.poll.note_answer(self.loop)  # type: ignore[arg-type]

    @property
    def is_awake(self) -> bool:
        """Whether the loop has something to do in its next turn, so that it doesn't sleep."""
        return bool(self.loop.ready)


@pytest.fixture
def client() -> Client:
    return Client()


def test_a_first_request_and_slow_ones_keep_nothing_awake(client: Client) -> None:
    client.ask(LATE, times=100)
    assert not client.is_awake


def test_quick_requests_keep_the_loop_awake_in_one_chain_of_turns(client: Client) -> None:
    client.ask(SOON, times=20)
    assert len(client.loop.ready) == 1
    for _ in range(50):
        client.loop.turn()
        client.ask(SOON)
        assert len(client.loop.ready) == 1


def test_it_sleeps_once_the_next_request_does_not_come(client: Client) -> None:
    client.ask(SOON, times=20)
    client.now += SOON
    client.loop.turn()
    assert client.is_awake
    client.now += LATE
    client.loop.turn()
    assert not client.is_awake


def test_after_a_wait_in_vain_the_client_has_to_be_quick_again(client: Client) -> None:
    client.ask(SOON, times=20)
    client.now += LATE
    client.loop.turn()
    client.ask(SOON)  # by now long after the last answer
    assert not client.is_awake
    client.ask(SOON)
    client.ask(SOON)
    assert not client.is_awake
    client.ask(SOON)
    assert client.is_awake


def test_one_slow_request_among_quick_ones_ends_it(client: Client) -> None:
    client.ask(SOON, times=2)
    client.ask(LATE)
    client.ask(SOON, times=2)
    assert not client.is_awake
