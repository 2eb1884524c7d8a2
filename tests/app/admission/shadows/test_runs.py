"""Shadows: what they see, when they run, and what is counted of them. All models but `three` answer alike."""

import gc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any
from weakref import ref

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.admission.keys import hash_key
from app.admission.shadows import runs as module
from app.catalog.catalog import Catalog
from app.inference.model import LoadedModel
from app.main import create_app
from app.settings import Settings
from tests.makers.artifacts import LABELS, gray_image, make_artifact, make_graph
from tests.makers.gate import Gate
from tests.makers.waiting import wait_until

GRAY = gray_image(150)
IMAGES = "convserve_shadow_images_total"
SAME = {"of": "tiny/1", "run": "tiny/2"}
AS_ADMIN = {"Authorization": "Bearer cs-admin"}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    make_artifact(tmp_path, version=1)
    make_artifact(tmp_path, version=2)
    make_artifact(tmp_path, "large", size=16, graph=make_graph(size=16))
    make_artifact(tmp_path, "three", labels=LABELS[:3])
    return tmp_path


@pytest.fixture
def open_service(repository: Path, open_client: Callable[..., TestClient]) -> Callable[..., TestClient]:
    def open_one(**shadow: Any) -> TestClient:
        return open_client(
            repository=repository,
            versions="all",
            admin_keys=[hash_key("cs-admin")],
            shadows={"next": {**SAME, **shadow}},
        )

    return open_one


@pytest.fixture
def in_background() -> Iterator[Callable[..., Any]]:
    with ThreadPoolExecutor(2) as threads:
        yield threads.submit


def count(client: TestClient, family: str = IMAGES) -> dict[tuple[str, ...], float]:
    services = client.app.state.services  # type: ignore[attr-defined]
    found = services.catalog.metrics.snapshot()[family]
    return {labels: values[0] for labels, values in found.items() if values[0]}


def post(client: TestClient, *images: bytes, name: str = "tiny", query: str = "?version=1") -> None:
    files = [("file", ("a.png", image, "image/png")) for image in images]
    assert client.post(f"/predict/{name}{query}", files=files).status_code == 200


def test_a_shadow_runs_what_the_other_model_has_answered(open_service: Callable[..., TestClient]) -> None:
    client = open_service()
    for _ in range(5):
        post(client, GRAY)
    post(client, GRAY, GRAY)
    wait_until(lambda: count(client) == {("next", "tiny/1", "tiny/2", "agreed"): 7})
    assert count(client, "convserve_images_total") == {("tiny", "1"): 7, ("tiny", "2"): 7}
    assert {labels[-1] for labels in count(client, "shadow_rows")} == {"tiny/2"}


def test_only_what_its_model_has_answered_is_shown_to_it(open_service: Callable[..., TestClient]) -> None:
    client = open_service()
    post(client, GRAY, query="?version=2")
    post(client, GRAY, name="large", query="")
    assert client.post("/predict/tiny?version=1", content=b"no image").status_code == 400
    post(client, GRAY)
    wait_until(lambda: count(client) == {("next", "tiny/1", "tiny/2", "agreed"): 1})


def test_chance_chooses_the_share_of_the_images(open_service: Callable[..., TestClient]) -> None:
    client = open_service(share=0.25)
    runs = client.app.state.services.admission.shadows  # type: ignore[attr-defined]
    runs._random = Random(29)
    for _ in range(10):
        post(client, *[GRAY] * 40)
    wait_until(lambda: not runs.waiting and sum(count(client).values()) > 0)
    # 400 images by a share of a quarter: 100, and five standard deviations are 43.
    wait_until(lambda: 57 <= count(client)["next", "tiny/1", "tiny/2", "agreed"] <= 143)


def test_a_model_of_another_size_decodes_the_image_for_itself(open_service: Callable[..., TestClient]) -> None:
    client = open_service(run="large")
    post(client, GRAY)
    wait_until(lambda: count(client) == {("next", "tiny/1", "large/1", "agreed"): 1})


def test_pixels_that_the_shadow_has_no_use_for_count_as_failed(open_service: Callable[..., TestClient]) -> None:
    client = open_service(run="large")
    tensor = {"name": "image", "datatype": "UINT8", "shape": [1, 8, 8, 1], "data": [150] * 64}
    assert client.post("/v2/models/tiny/versions/1/infer", json={"inputs": [tensor]}).status_code == 200
    wait_until(lambda: count(client) == {("next", "tiny/1", "large/1", "failed"): 1})


@pytest.mark.parametrize("run", ["three", "absent", "tiny/3", "tiny"])
def test_a_shadow_that_does_not_go_with_its_model_harms_nobody(
    open_service: Callable[..., TestClient], run: str
) -> None:
    client = open_service(of="tiny/2", run=run)
    for _ in range(3):
        post(client, GRAY, query="?version=2")
    assert count(client) == {}


def test_of_a_cascade_the_model_that_answered_counts(repository: Path, open_client: Callable[..., TestClient]) -> None:
    client = open_client(
        repository=repository,
        versions="all",
        aliases={"both": {"first": "tiny/1", "then": "large", "when": "p < 1"}},
        shadows={"next": {"of": "large", "run": "tiny/2"}},
    )
    post(client, gray_image(90, size=20), name="both", query="")
    wait_until(lambda: sum(count(client).values()) == 1)
    assert {labels[:3] for labels in count(client)} == {("next", "large/1", "tiny/2")}


class Gated:
    """Two versions that run only when the test lets them."""

    def __init__(self, repository: Path, **shadow: Any) -> None:
        self.gates = {"1": Gate(), "2": Gate()}
        shadows: Any = {"next": {**SAME, **shadow}}
        self.settings = Settings(repository=repository, versions="all", load=["tiny"], shadows=shadows, poll_s=0)

    async def load(self, folder: Path, settings: Settings, **options: Any) -> LoadedModel:
        return await self.gates[folder.name].load(folder, settings, **options)

    def make(self) -> FastAPI:
        return create_app(self.settings, Catalog(self.settings, self.load))


def test_a_shadow_waits_while_any_model_has_something_to_do(
    repository: Path, open_client: Callable[..., TestClient], in_background: Callable[..., Any]
) -> None:
    gated = Gated(repository)
    client = open_client(gated.make())
    runs = client.app.state.services.admission.shadows  # type: ignore[attr-defined]
    gated.gates["1"].open.set()
    post(client, GRAY)
    assert gated.gates["2"].entered.acquire(timeout=30)  # the shadow runs: nothing else does
    busy = in_background(post, client, GRAY, query="?version=2")
    post(client, GRAY)
    post(client, GRAY)
    wait_until(lambda: runs.waiting == 2)
    gated.gates["2"].open.set()
    busy.result(30)
    wait_until(lambda: count(client) == {("next", "tiny/1", "tiny/2", "agreed"): 3})


def test_images_that_find_no_room_to_wait_are_counted(
    repository: Path,
    open_client: Callable[..., TestClient],
    in_background: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MOST_WAITING", 3)
    gated = Gated(repository)
    client = open_client(gated.make())
    gated.gates["1"].open.set()
    busy = in_background(post, client, GRAY, query="?version=2")
    assert gated.gates["2"].entered.acquire(timeout=30)
    for _ in range(5):
        post(client, GRAY)
    wait_until(lambda: count(client) == {("next", "tiny/1", "tiny/2", "dropped"): 2})
    gated.gates["2"].open.set()
    busy.result(30)
    wait_until(lambda: count(client).get(("next", "tiny/1", "tiny/2", "agreed")) == 3)


def test_of_what_finds_no_room_chance_chooses_the_share(
    repository: Path,
    open_client: Callable[..., TestClient],
    in_background: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MOST_WAITING", 1)
    gated = Gated(repository, share=0.25)
    client = open_client(gated.make())
    runs = client.app.state.services.admission.shadows  # type: ignore[attr-defined]
    gated.gates["1"].open.set()
    busy = in_background(post, client, GRAY, query="?version=2")
    assert gated.gates["2"].entered.acquire(timeout=30)
    while not runs.waiting:
        post(client, GRAY)
    before = sum(count(client).values())
    for _ in range(10):
        post(client, *[GRAY] * 40)
    # 400 images by a share of a quarter: 100, and five standard deviations are 43.
    wait_until(lambda: 57 <= count(client)["next", "tiny/1", "tiny/2", "dropped"] - before <= 143)
    gated.gates["2"].open.set()
    busy.result(30)


def test_a_shadow_that_fails_is_counted_and_costs_no_answer(
    repository: Path, open_client: Callable[..., TestClient]
) -> None:
    gated = Gated(repository)
    client = open_client(gated.make())
    for gate in gated.gates.values():
        gate.open.set()
    gated.gates["2"].error = ValueError("a node of the graph")
    post(client, GRAY)
    wait_until(lambda: count(client) == {("next", "tiny/1", "tiny/2", "failed"): 1})


def test_what_waits_is_not_run_by_a_shadow_that_means_another_model_now(
    repository: Path, open_client: Callable[..., TestClient], in_background: Callable[..., Any]
) -> None:
    gated = Gated(repository)
    client = open_client(gated.make())
    services = client.app.state.services  # type: ignore[attr-defined]
    gated.gates["1"].open.set()
    busy = in_background(post, client, GRAY, query="?version=2")
    assert gated.gates["2"].entered.acquire(timeout=30)
    post(client, GRAY)
    wait_until(lambda: services.admission.shadows.waiting == 1)
    services.catalog.traffic.replace({}, {})
    gated.gates["2"].open.set()
    busy.result(30)
    wait_until(lambda: count(client) == {("next", "tiny/1", "tiny/2", "dropped"): 1})


def watch_models(client: TestClient) -> Callable[[], bool]:
    """Tells whether the versions that are there now are out of memory."""
    catalog = client.app.state.services.catalog  # type: ignore[attr-defined]
    models = [ref(catalog.find("tiny", version)) for version in (1, 2)]

    def are_gone() -> bool:
        gc.collect()
        return not any(model() for model in models)

    return are_gone


def test_unloaded_models_are_not_kept_by_the_shadow_that_compared_them(
    open_service: Callable[..., TestClient],
) -> None:
    client = open_service()
    post(client, GRAY)
    wait_until(lambda: count(client) == {("next", "tiny/1", "tiny/2", "agreed"): 1})
    are_gone = watch_models(client)
    assert client.post("/v2/repository/models/tiny/unload", headers=AS_ADMIN).status_code == 200
    wait_until(are_gone)


def test_unloaded_models_are_not_kept_by_images_that_wait_for_an_idle_moment(
    open_service: Callable[..., TestClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = open_service()
    runs = client.app.state.services.admission.shadows  # type: ignore[attr-defined]
    monkeypatch.setattr(runs._moments, "wait", lambda: None)
    post(client, GRAY, GRAY)
    wait_until(lambda: runs.waiting == 2)
    are_gone = watch_models(client)
    assert client.post("/v2/repository/models/tiny/unload", headers=AS_ADMIN).status_code == 200
    wait_until(are_gone)
    assert (runs.waiting, runs._waiting_bytes) == (0, 0)
    assert count(client) == {("next", "tiny/1", "tiny/2", "dropped"): 2}


def test_images_of_models_that_stay_go_on_waiting(
    open_service: Callable[..., TestClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = open_service()
    runs = client.app.state.services.admission.shadows  # type: ignore[attr-defined]
    with monkeypatch.context() as patched:
        patched.setattr(runs._moments, "wait", lambda: None)
        post(client, GRAY, GRAY)
        wait_until(lambda: runs.waiting == 2)
        assert client.post("/v2/repository/models/large/unload", headers=AS_ADMIN).status_code == 200
    post(client, GRAY)
    wait_until(lambda: count(client) == {("next", "tiny/1", "tiny/2", "agreed"): 3})


def test_a_shadow_that_was_deleted_leaves_nothing(open_service: Callable[..., TestClient]) -> None:
    client = open_service()
    runs = client.app.state.services.admission.shadows  # type: ignore[attr-defined]
    assert client.put("/shadows/other", json=SAME, headers=AS_ADMIN).status_code == 200
    post(client, GRAY)
    wait_until(lambda: set(runs._pairs._found) == {"next", "other"})
    assert client.delete("/shadows/other", headers=AS_ADMIN).status_code == 200
    assert "other" not in runs._pairs._found
