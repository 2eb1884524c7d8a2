import tempfile

from app.batching.rate import Rates


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_sender_may_have_a_second_of_its_rate_at_once_and_then_waits() -> None:
    clock = Clock()
    rates = Rates({"a": 10}, clock=clock)
    assert rates.find_wait("a") == 0
    rates.spend("a", 10)
    assert rates.find_wait("a") == 0
    rates.spend("a", 5)
    assert rates.find_wait("a") == 0.5
    clock.now += 0.5
    assert rates.find_wait("a") == 0


def test_over_time_it_gets_its_rate_however_many_rows_a_request_has() -> None:
    clock = Clock()
    rates = Rates({"a": 10}, clock=clock)
    had = 0
    for _ in range(1000):
        clock.now += 0.125
        if not rates.find_wait("a"):
            rates.spend("a", 64)
            had += 64
    assert 1250 <= had <= 1250 + 10 + 64


def test_what_was_not_used_is_not_saved_up() -> None:
    clock = Clock()
    rates = Rates({"a": 10}, clock=clock)
    clock.now += 1000
    rates.spend("a", 30)
    assert rates.find_wait("a") == 2


def test_senders_have_accounts_of_their_own_and_some_have_no_limit() -> None:
    clock = Clock()
    rates = Rates({"a": 1, "b": 1}, clock=clock)
    rates.spend("a", 100)
    rates.spend("c", 100)
    assert (rates.find_wait("a"), rates.find_wait("b"), rates.find_wait("c")) == (99, 0, 0)


def test_processes_with_one_file_have_one_account() -> None:
    clock = Clock()
    with tempfile.TemporaryFile() as file:
        one, other = (Rates({"a": 10, "b": 10}, file.fileno(), clock) for _ in range(2))
        one.spend("b", 15)
        other.spend("b", 5)
        assert one.find_wait("b") == other.find_wait("b") == 1
        assert other.find_wait("a") == 0
