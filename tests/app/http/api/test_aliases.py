"""Aliases that requests set: who may, what is refused, what holds before what, and what a restart keeps."""

import http.client
import json
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.admission.keys import hash_key
from app.aliases import SLOTS
from app.catalog.catalog import Catalog
from app.catalog.traffic.slots import find_slot
from app.settings import Settings
from tests.makers.artifacts import LABELS, gray_image, make_artifact
from tests.makers.threaded_server import serve_in_thread

WHITE = gray_image(255)
ADMIN = {"Authorization": "Bearer admin"}
WEIGHTS = {"to": {"tiny/1": 90, "tiny/2": 10}, "sticky": "X-User"}


@pytest.fixture
def two_versions(tmp_path: Path) -> Path:
    make_artifact(tmp_path / "repository", version=1)
    make_artifact(tmp_path / "repository", version=2)
    return tmp_path / "repository"


@pytest.fixture
def open_service(two_versions: Path, open_client: Callable[..., TestClient]) -> Callable[..., TestClient]:
    def open_one(**settings: Any) -> TestClient:
        given = {"aliases": {"old": "tiny/1"}, "admin_keys": [hash_key("admin")], **settings}
        client = open_client(repository=two_versions, versions="all", **given)
        client.headers.update(ADMIN)
        return client

    return open_one


@pytest.fixture
def service(open_service: Callable[..., TestClient]) -> TestClient:
    return open_service()


def versions_of(client: TestClient, name: str, tries: int = 30) -> set[int]:
    return {client.post(f"/predict/{name}", content=WHITE).json()["version"] for _ in range(tries)}


def test_an_alias_that_is_put_holds_from_the_next_request_on_until_it_is_deleted(service: TestClient) -> None:
    assert service.post("/predict/best", content=WHITE).status_code == 404
    put = service.put("/aliases/best", json={"to": "tiny/1"})
    assert (put.status_code, put.json()) == (
        200,
        {"name": "best", "to": "tiny/1", "set_by": "request", "kept": False},
    )
    assert versions_of(service, "best") == {1}
    assert service.put("/aliases/best", json=WEIGHTS).json() == {
        **{"name": "best", **WEIGHTS},
        **{"set_by": "request", "kept": False},
    }
    assert versions_of(service, "best", 200) == {1, 2}
    assert service.delete("/aliases/best").json() == {"name": "best", "to": None, "kept": False}
    assert service.post("/predict/best", content=WHITE).status_code == 404


def test_what_a_request_sets_goes_before_the_settings_also_after_sighup(service: TestClient) -> None:
    service.put("/aliases/old", json={"to": "tiny/2"})
    assert versions_of(service, "old") == {2}
    traffic = service.app.state.services.catalog.traffic  # type: ignore[attr-defined]
    traffic.replace({"old": "tiny", "more": "tiny/1"}, {})
    assert service.get("/aliases").json()["aliases"] == [
        {"name": "old", "to": "tiny/2", "set_by": "request"},
        {"name": "more", "to": "tiny/1", "set_by": "settings"},
    ]
    assert service.delete("/aliases/old").json() == {
        **{"name": "old", "to": "tiny", "set_by": "settings"},
        "kept": False,
    }


def test_there_may_be_nothing_to_take_back(service: TestClient) -> None:
    refused = service.delete("/aliases/old")
    assert (refused.status_code, refused.json()["code"]) == (409, "alias_of_settings")
    assert "remove it there and send SIGHUP" in refused.json()["detail"]
    for method in ("DELETE", "GET"):
        unknown = service.request(method, "/aliases/nobody")
        assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown_alias")
        assert unknown.json()["detail"] == "there is no alias 'nobody'; there are: old"


def test_a_cascade_may_be_put(service: TestClient, two_versions: Path) -> None:
    meaning = {"first": "tiny/1", "then": "tiny/2", "when": "p < 1", "coverage": 0.9}
    assert service.put("/aliases/both", json={"to": meaning}).json()["to"] == meaning
    (prediction,) = service.post("/predict/both", content=gray_image(90)).json()["predictions"]
    assert (prediction["model"], prediction["version"]) == ("tiny", 2)


@pytest.mark.parametrize(
    ("order", "status", "words"),
    [
        ({}, 422, "`to` is missing: send"),
        ({"to": 3}, 422, "to is 3: send"),
        ({"to": "a b"}, 422, "to is 'a b': give a model as NAME or NAME/VERSION"),
        ({"to": {"tiny/1": 0}}, 422, "every weight is 0"),
        (
            {"to": {"tiny/1": 1, "tiny/2": 9e-5}},
            422,
            "tiny/2 has weight 9e-05, less than 1 of 10,000 requests: give it",
        ),
        ({"to": {"tiny/1": -1}}, 422, "to.tiny/1 is '-1': input should be greater than or equal to 0"),
        ({"to": {"tiny/x": 1}}, 422, "give a model as NAME"),
        ({"to": "tiny/1", "sticky": "X-User"}, 422, "sticky goes with weights"),
        ({**WEIGHTS, "stiky": "X-User"}, 422, "unknown parameter 'stiky'"),
        ({"to": {"first": "tiny", "then": "tiny", "when": "p < 0.5"}}, 422, "name two models"),
        ({"to": {"first": "tiny", "then": "tiny/1", "when": "often"}}, 422, "when is 'often': write 'set > N'"),
        ({"to": "absent"}, 404, "there is no model 'absent'"),
        ({"to": {"tiny/1": 1, "tiny/3": 1}}, 404, "tiny has no version 3"),
        ({"to": {"tiny/1": 1, "three": 1}}, 404, "must have the same labels"),
        ([], 400, "the JSON is not an object"),
        ({"to": {f"m{n}": 1 for n in range(99)}}, 400, "has more keys than this request takes"),
    ],
)
def test_a_wrong_meaning_is_refused_in_words_and_changes_nothing(
    open_service: Callable[..., TestClient], two_versions: Path, order: Any, status: int, words: str
) -> None:
    make_artifact(two_versions, "three", labels=LABELS[:3])
    service = open_service()
    refused = service.put("/aliases/old", json=order)
    assert (refused.status_code, refused.json()["status"]) == (status, status)
    assert words in refused.json()["detail"]
    assert service.get("/aliases/old").json() == {"name": "old", "to": "tiny/1", "set_by": "settings"}


@pytest.mark.parametrize("name", ["a b", ".hidden", "x" * 65, "a%0Ab"])
def test_a_name_is_one_that_a_model_could_have(service: TestClient, name: str) -> None:
    assert service.put(f"/aliases/{name}", json={"to": "tiny"}).status_code == 422


def test_only_the_holder_of_an_admin_key_changes_aliases(open_service: Callable[..., TestClient]) -> None:
    for client, status in ((open_service(), 401), (open_service(admin_keys=[]), 403)):
        del client.headers["Authorization"]
        assert client.get("/aliases/old").status_code == client.get("/aliases").status_code == 200
        for method in ("PUT", "DELETE"):
            assert client.request(method, "/aliases/old", content=b"{").status_code == status


def test_200_changes_of_weights_under_load_fail_no_request_and_move_nobody_else(two_versions: Path) -> None:
    """One client changes the weights and counts what chance gives it; three send the header and know their model."""
    settings = Settings(
        repository=two_versions,
        versions="all",
        aliases={"best": {"to": {"tiny/1": 1, "tiny/2": 1}, "sticky": "X-User"}},
        admin_keys=[hash_key("admin")],
    )
    catalog = Catalog(settings)
    catalog.traffic.random.seed(29)  # only requests without the header draw
    random, busy = Random(29), threading.Event()
    seen: Counter[tuple[str, int, int]] = Counter()

    def predict(connection: http.client.HTTPConnection, user: str = "") -> tuple[int, int]:
        connection.request(
            "POST", "/predict/best", WHITE, {"Content-Type": "image/png"} | ({"X-User": user} if user else {})
        )
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read()).get("version", 0)

    def send(port: int, user: str) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        while busy.is_set():
            seen[user, *predict(connection, user)] += 1
        connection.close()

    # Shares go from 5 to 95 %: the first and the last 5 % of the slots never change hands.
    slots = {user: find_slot("best", user) for user in map(str, range(200))}
    first = [user for user, slot in slots.items() if slot < 0.05 * SLOTS][:2]
    last = [user for user, slot in slots.items() if slot >= 0.95 * SLOTS][:1]
    with serve_in_thread(settings, catalog=catalog) as port:
        busy.set()
        threads = [threading.Thread(target=send, args=(port, user)) for user in first + last]
        for thread in threads:
            thread.start()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        counts, expected = Counter[tuple[int, int]](), 0.0
        for share in (random.randrange(5, 96) for _ in range(200)):
            order = {"to": {"tiny/1": 100 - share, "tiny/2": share}, "sticky": "X-User"}
            connection.request("PUT", "/aliases/best", json.dumps(order), ADMIN)
            answer = connection.getresponse()
            assert (answer.status, json.loads(answer.read())["to"]) == (200, order["to"])
            counts.update(predict(connection) for _ in range(10))
            expected += 10 * share / 100
        busy.clear()
        for thread in threads:
            thread.join()
        connection.close()
    assert counts.keys() == {(200, 1), (200, 2)}
    chi_square = sum(
        (counts[200, version] - mean) ** 2 / mean for version, mean in ((1, 2000 - expected), (2, expected))
    )
    assert chi_square < 23.9  # one degree of freedom: p > 1e-6
    assert seen.keys() == {(user, 200, 1) for user in first} | {(user, 200, 2) for user in last}


def test_a_state_file_keeps_what_requests_set_over_a_restart(
    open_service: Callable[..., TestClient], tmp_path: Path
) -> None:
    state = tmp_path / "state.json"
    before = open_service(state_file=state, aliases={"old": "tiny/1", "more": {"tiny/1": 1, "tiny/2": 1}})
    assert before.put("/aliases/best", json=WEIGHTS).json()["kept"] is True
    assert before.put("/aliases/gone", json={"to": "tiny"}).json()["kept"] is True
    assert before.delete("/aliases/gone").json()["kept"] is True
    traffic = before.app.state.services.catalog.traffic  # type: ignore[attr-defined]
    after = open_service(state_file=state, aliases={"old": "tiny/2", "more": {"tiny/1": 1, "tiny/2": 1}})
    assert after.get("/aliases").json()["aliases"] == [
        {"name": "old", "to": "tiny/2", "set_by": "settings"},
        {"name": "more", "to": {"tiny/1": 1, "tiny/2": 1}, "set_by": "settings"},
        {"name": "best", **WEIGHTS, "set_by": "request"},
    ]
    again = after.app.state.services.catalog.traffic  # type: ignore[attr-defined]
    assert [again.target("best", slot) for slot in range(SLOTS)] == [
        traffic.target("best", slot) for slot in range(SLOTS)
    ]
    assert [file.name for file in tmp_path.glob("*state*")] == ["state.json"]


def test_a_change_that_cannot_be_kept_is_refused_and_nothing_changed(
    open_service: Callable[..., TestClient], tmp_path: Path
) -> None:
    folder = tmp_path / "states"
    folder.mkdir()
    service = open_service(state_file=folder / "state.json")
    folder.rmdir()
    refused = service.put("/aliases/best", json=WEIGHTS)
    assert (refused.status_code, refused.json()["code"]) == (503, "state_not_written")
    assert f"{folder}/state.json can't be written (No such file or directory)" in refused.json()["detail"]
    assert service.get("/aliases/best").status_code == 404


def test_what_a_guard_has_taken_back_is_said(service: TestClient) -> None:
    guarded = {**WEIGHTS, "guard": {"max_error_rate": 0.05, "min_requests": 100}}
    assert service.put("/aliases/best", json=guarded).json()["guard"] == guarded["guard"]
    services = service.app.state.services  # type: ignore[attr-defined]
    services.catalog.traffic.withdraw("best", "tiny/2", "too many faults")
    said = service.get("/aliases/best").json()
    assert (said["to"], said["withdrawn"]) == ({"tiny/1": 90, "tiny/2": 0}, {"tiny/2": "too many faults"})
    assert versions_of(service, "best") == {1}
    assert "withdrawn" not in service.put("/aliases/best", json=guarded).json()


@pytest.mark.parametrize(
    ("guard", "words"),
    [
        ({}, "guard sets no bound"),
        ({"max_error_rate": 0}, "guard.max_error_rate is '0': input should be greater than 0"),
        ({"max_p99_ratio": 0.5}, "guard.max_p99_ratio is '0.5': input should be greater than or equal to 1"),
        ({"max_errors": 1}, "unknown parameter 'guard.max_errors'"),
    ],
)
def test_a_wrong_guard_is_refused_in_words(service: TestClient, guard: Any, words: str) -> None:
    refused = service.put("/aliases/best", json={**WEIGHTS, "guard": guard})
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_parameter")
    assert words in refused.json()["detail"]
