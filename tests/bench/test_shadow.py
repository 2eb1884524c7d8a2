"""The shadow's benchmark: what it judges, and what it says of it."""

from typing import Any

import pytest

from app.client.load.open_loop import OpenResult
from bench.load.wrk import Result
from bench.shadow import Measured, Service, report


def run(rate: float, p99_ms: float = 5.0, wrong: int = 0) -> Result:
    return Result(int(rate), 1.0, rate, 1.0, 2.0, p99_ms, wrong, 0, "")


def measured(beside: float = 990.0, p99_ms: float = 5.0, seen: int = 96, wrong: int = 0) -> Measured:
    without = [run(1000.0), run(1000.0, 6.0), run(500.0), run(500.0)]
    ratios = [run(rate, p99_ms, wrong) for rate in (beside, 0.75 * beside, beside / 2)]
    half = OpenResult(500.0, 500.0, 1.0, 2.0, 3.0, 0, 0, 0.0)
    return Measured(without, ratios, [0.2, 0.2, 0.4, 0.4], [0.3, 0.3, 0.4], 7, half, 500, seen, chosen=100)


def test_neighboring_runs_are_compared_not_the_means() -> None:
    assert measured().ratios == [0.99, 0.99, 0.99]
    assert measured().equals == [1.0, 0.5, 1.0]
    assert measured().costs == pytest.approx([1.5, 1.0, 1.0])


@pytest.mark.parametrize(
    ("changes", "status"),
    [({}, 0), ({"beside": 960.0}, 1), ({"p99_ms": 6.5}, 1), ({"seen": 94}, 1), ({"wrong": 1}, 1)],
)
def test_every_bound_decides_the_exit_status(
    changes: dict[str, Any], status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report({"in threads": measured(**changes)}) == status
    assert ("FAILED" in capsys.readouterr().out) == bool(status)


def test_what_the_share_fell_on_is_known_once_no_image_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([(3, 0), (5, 1), (5, 1)])

    def compare(_: Service, name: str) -> dict[str, Any]:
        images, dropped = next(answers)
        return {"images": images, "dropped": dropped, "failed": 0}

    monkeypatch.setattr(Service, "compare", compare)
    monkeypatch.setattr("bench.shadow.time.sleep", lambda _: None)
    assert Service(0).count_chosen("half") == 6
