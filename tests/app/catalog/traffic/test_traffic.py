"""What the names in requests mean, and who gets which model."""

import json
from collections import Counter
from random import Random
from typing import Any

import pytest

from app.aliases import read_target
from app.catalog.traffic.traffic import Traffic


def none(_: str) -> None:
    """Headers of a request that has none."""


def user(name: str) -> Any:
    return {"x-user": name}.get


def make(seed: int = 29, **aliases: Any) -> Traffic:
    return Traffic({name: read_target(target) for name, target in aliases.items()}, {}, Random(seed))


def test_requests_are_given_to_models_by_their_shares() -> None:
    traffic = make(best={"a/1": 70, "a/2": 20, "b": 10})
    counts = Counter(traffic.target("best", traffic.draw("best", none)) for _ in range(20_000))
    expected = {"a/1": 14_000, "a/2": 4_000, "b": 2_000}
    assert sum((counts[to] - e) ** 2 / e for to, e in expected.items()) < 27.6  # 2 degrees: p > 1e-6


def test_equal_values_of_the_sticky_header_get_the_same_model_in_every_process() -> None:
    one, other = (make(seed, best={"to": {"a/1": 1, "a/2": 1}, "sticky": "X-User"}) for seed in (1, 2))
    for client in map(user, map(str, range(200))):
        slot = one.draw("best", client)
        assert slot == one.draw("best", client) == other.draw("best", client)
        assert one.target("best", slot) == other.target("best", slot)
    found = {one.target("best", one.draw("best", user(str(number)))) for number in range(200)}
    assert found == {"a/1", "a/2"}


def test_a_request_without_the_header_is_given_by_chance() -> None:
    traffic = make(best={"to": {"a/1": 1, "a/2": 1}, "sticky": "X-User"})
    assert {traffic.target("best", traffic.draw("best", none)) for _ in range(100)} == {"a/1", "a/2"}
    assert {traffic.target("best", traffic.draw("best", user(""))) for _ in range(100)} == {"a/1", "a/2"}


def test_what_is_not_split_has_no_slot() -> None:
    traffic = make(best="a/1", both={"first": "a", "then": "b/2", "when": "p < 0.5"})
    for name, meaning in (("best", ("a", 1)), ("both", ("a", None)), ("c", ("c", None))):
        assert traffic.draw(name, none) is None
        assert traffic.follow(name) == meaning


def test_without_a_request_a_split_is_the_model_of_the_largest_share() -> None:
    assert make(best={"a/1": 10, "a/2": 90}).follow("best") == ("a", 2)
    assert make(best={"a/1": 1, "a/2": 1}).follow("best") == ("a", 1)


def test_where_the_model_of_the_largest_share_is_taken_back_it_is_the_next_one() -> None:
    traffic = make(best={"a": 10, "b": 90})
    assert traffic.target("best") == "b"
    traffic.withdraw("best", "b", "it fails")
    assert traffic.target("best") == "a"


def test_another_process_gives_everybody_the_same_model_after_any_changes() -> None:
    traffic, weights = make(), {"a/1": 60, "a/2": 30, "b": 10}
    for share in (0, 25, 5, 40):
        weights |= {"a/2": share}
        traffic.replace({"best": read_target({"to": weights, "sticky": "X-User"}), "old": "a"}, {})
    other = make()
    other.read(json.loads(json.dumps(traffic.write())))
    assert other.aliases == traffic.aliases
    for slot in range(0, 10_000, 7):
        assert other.target("best", slot) == traffic.target("best", slot)


@pytest.mark.parametrize("kept", ["a/1", "a/2"])
def test_clients_of_a_model_whose_share_grows_stay_with_it(kept: str) -> None:
    traffic = make(best={"to": {"a/1": 50, "a/2": 50}, "sticky": "X-User"})
    clients = [user(str(number)) for number in range(500)]
    before = [traffic.target("best", traffic.draw("best", client)) for client in clients]
    traffic.replace({"best": read_target({"to": {"a/1": 50, "a/2": 50, kept: 90}, "sticky": "x-user"})}, {})
    after = [traffic.target("best", traffic.draw("best", client)) for client in clients]
    assert {new for old, new in zip(before, after, strict=True) if old == kept} == {kept}
    assert set(after) == {"a/1", "a/2"}
