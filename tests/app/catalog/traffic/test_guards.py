"""Guards: which bounds are broken by which counts, and what becomes of a model that breaks one."""

import asyncio
import logging
from pathlib import Path
from random import Random
from typing import Any

import pytest

from app.aliases import read_shadow, read_target
from app.catalog.traffic.changes import TrafficChanges
from app.catalog.traffic.guards import Guards
from app.catalog.traffic.traffic import Traffic
from app.observe.metrics import Metrics, Snapshot, merge

WITHDRAWALS = "convserve_alias_withdrawals_total"


class Service:
    """An alias with a guard, and two workers whose counts the test sets."""

    def __init__(self, state_file: Path | None = None, **guard: Any) -> None:
        self.weights = {"a/1": 80, "a/2": 10, "a/3": 10}
        meaning = read_target({"to": self.weights, "sticky": "X-User", "guard": {"min_requests": 100, **guard}})
        shadow = read_shadow({"of": "a/1", "run": "a/2"})
        self.traffic = Traffic({"best": meaning}, {"next": shadow})
        self.workers = [Metrics(), Metrics()]
        self.metrics = Metrics()
        self._state_file = state_file

    def look(self, *rounds: Any) -> None:
        """Before each of `rounds` happens, and after the last."""

        async def snapshot() -> Snapshot:
            return merge([worker.snapshot() for worker in self.workers])

        async def scene() -> None:
            guards = Guards(TrafficChanges(self.traffic, self._state_file), snapshot, self.metrics)
            await guards.look()
            for happen in rounds:
                happen()
                await guards.look()

        asyncio.run(scene())

    def answer(self, target: str, requests: int, seconds: float = 0.002, faults: int = 0) -> None:
        """By both workers, half and half."""
        for number in range(requests):
            worker = self.workers[number % 2]
            worker.histogram("convserve_alias_request_seconds", "best", target).observe(seconds)
        self.workers[0].add("convserve_alias_faults_total", "best", target, amount=faults)

    def compare(self, agreed: int, disagreed: int, of: str = "a/1", run: str = "a/2") -> None:
        for worker, result, images in ((0, "agreed", agreed), (1, "disagreed", disagreed)):
            labels = ("next", of, run, result)
            self.workers[worker].add("convserve_shadow_images_total", *labels, amount=images)

    @property
    def to(self) -> dict[str, float]:
        return dict(self.traffic.splits["best"].to)


def test_a_model_that_fails_too_often_gets_weight_0_and_the_others_keep_theirs(
    caplog: pytest.LogCaptureFixture,
) -> None:
    service = Service(max_error_rate=0.05)
    with caplog.at_level(logging.ERROR):
        service.look(lambda: (service.answer("a/2", 80, faults=20), service.answer("a/3", 99, faults=1)))
    assert service.to == {"a/1": 80, "a/2": 0, "a/3": 10}
    reason = "20.00% of its 100 requests failed (max_error_rate is 0.05)"
    assert service.traffic.withdrawals == {"best": {"a/2": reason}}
    assert f"alias best: a/2 gets no requests any more: {reason}" in caplog.text
    assert service.metrics.snapshot()[WITHDRAWALS] == {("best", "a/2", "max_error_rate"): [1]}


@pytest.mark.parametrize(("answered", "faults"), [(70, 20), (94, 6), (0, 0)])
def test_too_few_requests_or_faults_within_chance_change_nothing(answered: int, faults: int) -> None:
    service = Service(max_error_rate=0.05)
    service.look(lambda: service.answer("a/2", answered, faults=faults))
    assert (service.to, service.traffic.withdrawals) == (service.weights, {})


def test_what_was_counted_before_the_alias_was_set_does_not_count() -> None:
    service = Service(max_error_rate=0.05)
    service.answer("a/2", 100, faults=100)
    service.look(lambda: service.answer("a/2", 100))
    assert service.to == service.weights


def test_a_model_that_becomes_bad_late_is_found_as_soon() -> None:
    service = Service(max_error_rate=0.05)
    service.look(lambda: service.answer("a/2", 5_000), lambda: service.answer("a/2", 80, faults=20))
    assert service.to["a/2"] == 0


def test_the_first_model_is_what_the_others_are_held_against_and_never_taken_back() -> None:
    service = Service(max_error_rate=0.05)
    service.look(lambda: service.answer("a/1", 0, faults=500))
    assert service.to == service.weights


@pytest.mark.parametrize(("seconds", "weight"), [(0.02, 0), (0.002, 10)])
def test_a_model_that_is_much_slower_than_the_first_gets_weight_0(seconds: float, weight: int) -> None:
    service = Service(max_p99_ratio=2)
    service.look(lambda: (service.answer("a/1", 200), service.answer("a/2", 200, seconds)))
    assert service.to["a/2"] == weight


def test_a_model_as_fast_as_the_first_keeps_its_weight_however_often_its_p99_is_looked_at() -> None:
    draws, service = Random(0), Service(max_p99_ratio=1.5)

    def go_on() -> None:
        for target, requests in (("a/1", 80), ("a/2", 10)):
            for _ in range(requests):
                service.answer(target, 1, draws.expovariate(1 / 0.005))

    service.look(*[go_on] * 100)
    assert service.to == service.weights
    service.look(lambda: service.answer("a/1", 200), lambda: service.answer("a/2", 200, 0.05))
    assert service.to["a/2"] == 0


def test_the_first_model_answers_again_where_the_one_that_had_every_request_is_taken_back() -> None:
    service = Service(max_error_rate=0.05)
    promoted = service.traffic.splits["best"].model_copy(update={"to": {"a/1": 0, "a/2": 100}})
    service.traffic.put("best", promoted)
    service.look(lambda: service.answer("a/2", 50, faults=50))
    assert service.to == {"a/1": 100, "a/2": 0}
    assert {service.traffic.target("best", slot) for slot in range(10)} == {"a/1"}


@pytest.mark.parametrize(("disagreed", "weight"), [(40, 0), (12, 10)])
def test_a_model_that_disagrees_too_often_as_a_shadow_gets_weight_0(disagreed: int, weight: int) -> None:
    service = Service(max_disagreement=0.1)
    service.look(lambda: service.compare(100 - disagreed, disagreed))
    assert service.to == {**service.weights, "a/2": weight}


def put_shadow(service: Service, of: str, run: str) -> None:
    service.traffic.put_shadow("next", read_shadow({"of": of, "run": run}))


def test_what_a_shadow_compared_before_it_compares_these_models_does_not_count() -> None:
    service = Service(max_disagreement=0.1)
    put_shadow(service, "a/1", "a/4")
    service.compare(0, 500, run="a/4")
    service.look(lambda: put_shadow(service, "a/1", "a/2"), lambda: service.compare(100, 0))
    assert service.to == service.weights
    service.look(lambda: service.compare(0, 500, run="a/4"))  # its last images, counted late
    assert service.to == service.weights
    service.look(lambda: service.compare(60, 40))
    assert service.to == {**service.weights, "a/2": 0}


def test_a_shadow_that_compared_others_meanwhile_is_judged_by_what_it_compares_from_then_on() -> None:
    service = Service(max_disagreement=0.1)
    service.compare(0, 500)
    service.look(
        lambda: put_shadow(service, "a/1", "a/4"),
        lambda: put_shadow(service, "a/1", "a/2"),
        lambda: service.compare(100, 0),
    )
    assert service.to == service.weights


def test_a_shadow_of_the_newest_version_counts_for_an_alias_of_it() -> None:
    service = Service(max_disagreement=0.1)
    service.traffic.put("best", service.traffic.splits["best"].model_copy(update={"to": {"a": 90, "b": 10}}))
    put_shadow(service, "b", "a")
    service.look(lambda: service.compare(60, 40, of="b/7", run="a/1"))
    assert service.to == {"a": 90, "b": 0}


@pytest.mark.parametrize(
    "changed",
    [None, {"a/1": 80, "a/2": 20}, {"a/1": 80, "a/4": 20}, "a/2"],
    ids=["deleted", "other weights", "other models", "one model"],
)
def test_an_alias_that_a_request_changes_meanwhile_keeps_what_the_request_gave_it(
    changed: Any, caplog: pytest.LogCaptureFixture
) -> None:
    service = Service(max_error_rate=0.05)
    meaning = None if changed is None else read_target(changed)
    told, go_on = asyncio.Event(), asyncio.Event()

    async def tell() -> None:
        told.set()
        await go_on.wait()

    async def snapshot() -> Snapshot:
        return merge([worker.snapshot() for worker in service.workers])

    async def scene() -> None:
        service.traffic.put("best", service.traffic.splits["best"])
        service.traffic.replace({}, {})  # it is set by a request alone, so that one can delete it
        changes = TrafficChanges(service.traffic, None, tell)
        guards = Guards(changes, snapshot, service.metrics)
        await guards.look()
        service.answer("a/2", 0, faults=100)
        shadow = asyncio.create_task(changes.set_shadow("other", read_shadow({"of": "a/1", "run": "a/3"})))
        await told.wait()
        alias = asyncio.create_task(changes.set_alias("best", meaning))
        await asyncio.sleep(0)  # it waits for its turn, before the guard
        look = asyncio.create_task(guards.look())
        await asyncio.sleep(0)
        go_on.set()
        await asyncio.gather(shadow, alias, look)

    asyncio.run(scene())
    assert service.traffic.aliases.get("best") == meaning
    assert (service.traffic.withdrawals, service.metrics.snapshot()[WITHDRAWALS]) == ({}, {})
    assert "gets no requests" not in caplog.text


def test_what_was_taken_back_outlives_sighup_and_a_restart_and_ends_with_a_request(tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    service = Service(file, max_error_rate=0.05)
    before = service.traffic.splits["best"]
    service.look(lambda: service.answer("a/2", 0, faults=100))
    service.traffic.replace({"best": before}, {})
    assert service.to["a/2"] == 0
    again = Traffic({"best": before}, {})
    TrafficChanges(again, file)
    assert (again.splits["best"].to["a/2"], list(again.withdrawals["best"])) == (0, ["a/2"])
    again.put("best", before)
    assert (again.splits["best"], again.withdrawals) == (before, {})
