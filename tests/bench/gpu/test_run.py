from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.gpu.plan import Plan, Step
from bench.gpu.results import Results
from bench.gpu.run import run_piece


class Clock:
    """Each step takes a minute."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


class Piece:
    """Steps one, two, three; counts how often each was measured."""

    def __init__(self, clock: Clock, fails: str = "") -> None:
        self.ran: list[str] = []
        self.fails = fails
        self._clock = clock

    def __call__(self, plan: Plan) -> Iterator[Step]:
        for name in ("one", "two", "three"):
            yield name, lambda name=name: self._measure(name)  # type: ignore[misc]

    def _measure(self, name: str) -> dict[str, Any]:
        self.ran.append(name)
        self._clock.seconds += 60
        if name == self.fails:
            raise RuntimeError("CUDA failure 2: out of memory\n  at a line")
        return {"value": len(self.ran)}


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return Plan("cpu", tmp_path / "pack", tmp_path / "out")


def test_a_piece_stops_when_its_time_is_up_and_goes_on_where_it_stopped(plan: Plan) -> None:
    clock = Clock()
    piece = Piece(clock)
    assert not run_piece("x", piece, plan, minutes=2.5, clock=clock)
    assert piece.ran == ["one", "two"]
    assert run_piece("x", piece, plan, minutes=2.5, clock=clock)
    assert piece.ran == ["one", "two", "three"]
    assert Results(plan.out, "x").steps == {"one": {"value": 1}, "two": {"value": 2}, "three": {"value": 3}}


def test_a_first_step_is_run_however_little_time_there_is(plan: Plan) -> None:
    clock = Clock()
    piece = Piece(clock)
    assert not run_piece("x", piece, plan, minutes=0.01, clock=clock)
    assert piece.ran == ["one"]


def test_a_step_that_fails_is_kept_and_the_others_go_on(plan: Plan) -> None:
    clock = Clock()
    assert run_piece("x", Piece(clock, fails="two"), plan, minutes=9, clock=clock)
    results = Results(plan.out, "x")
    assert results.steps["two"] == {"error": "RuntimeError: CUDA failure 2: out of memory"}
    assert results.steps["three"] == {"value": 3}
    results.forget(failed_only=True)
    again = Piece(clock)
    assert run_piece("x", again, plan, minutes=9, clock=clock)
    assert again.ran == ["two"]


def test_a_step_that_took_its_process_along_is_not_tried_again_by_itself(plan: Plan) -> None:
    results = Results(plan.out, "x")
    results.keep("one", {"value": 1})
    results.begin("two")
    clock = Clock()
    piece = Piece(clock)
    assert run_piece("x", piece, plan, minutes=9, clock=clock)
    assert piece.ran == ["three"]
    assert "the process ended" in Results(plan.out, "x").steps["two"]["error"]


def test_everything_can_be_measured_again(plan: Plan) -> None:
    Results(plan.out, "x").keep("one", {"value": 1})
    Results(plan.out, "x").forget()
    assert Results(plan.out, "x").steps == {}
