"""A cascade: two models with one name. `small` reads 8x8 pixels and is unsure between two gray levels, `large` reads
16x16 and is sure nearly everywhere.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.admission.options import PredictOptions
from app.aliases import Cascade
from app.catalog.catalog import Catalog
from app.errors import DeviceFailed
from app.inference.model import LoadedModel, load_model
from app.main import create_app
from app.settings import Settings
from artifact.figures.evaluation import ScoreQuantiles
from tests.makers.artifacts import LABELS, gray_image, make_artifact, make_graph
from tests.makers.gate import Gate
from tests.makers.waiting import wait_until

SURE, UNSURE = gray_image(128, size=20), gray_image(90, size=20)
QUANTILES = ScoreQuantiles(images=500, coverage=(0.9, 0.95), score=(0.6, 0.9))
OTHERS = ScoreQuantiles(images=500, coverage=(0.9, 0.95), score=(0.1, 0.2))


def cascade(when: str = "p < 0.9", **changes: Any) -> dict[str, Any]:
    return {"first": "small", "then": "large", "when": when, **changes}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    make_artifact(tmp_path, "small", score_quantiles=QUANTILES)
    make_artifact(tmp_path, "large", size=16, graph=make_graph(size=16, sharpness=1e-2), score_quantiles=OTHERS)
    return tmp_path


@pytest.fixture
def client(repository: Path, open_client: Callable[..., TestClient]) -> TestClient:
    return open_client(repository=repository, aliases={"both": cascade()})


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def make_app(repository: Path, gate: Gate) -> Callable[..., FastAPI]:
    """A service whose second model runs only when the test lets it."""

    async def load(folder: Path, settings: Settings, **options: Any) -> LoadedModel:
        return await (gate.load if folder.parent.name == "large" else load_model)(folder, settings, **options)

    def make(**options: Any) -> FastAPI:
        settings = Settings(repository=repository, aliases={"both": cascade()}, **options)
        return create_app(settings, Catalog(settings, load))

    return make


@pytest.fixture
def in_background() -> Iterator[Callable[..., Any]]:
    with ThreadPoolExecutor(4) as threads:
        yield threads.submit


def predict(client: TestClient, image: bytes, query: str = "", name: str = "both") -> dict[str, Any]:
    response = client.post(f"/predict/{name}{query}", content=image)
    assert response.status_code == 200, response.text
    (prediction,) = response.json()["predictions"]
    return prediction


def count(client: TestClient, family: str) -> dict[tuple[str, ...], float]:
    services = client.app.state.services  # type: ignore[attr-defined]
    return {labels: values[0] for labels, values in services.catalog.metrics.snapshot()[family].items()}


def test_the_second_model_answers_where_the_first_is_unsure(client: TestClient) -> None:
    sure, unsure = predict(client, SURE), predict(client, UNSURE)
    assert (sure["model"], sure["version"], unsure["model"], unsure["version"]) == ("small", 1, "large", 1)
    assert "second" not in sure
    assert "second" not in unsure
    for prediction, model, image in ((sure, "small", SURE), (unsure, "large", UNSURE)):
        alone = predict(client, image, name=model)
        assert prediction["classes"] == alone["classes"]
        assert "model" not in alone
    assert predict(client, UNSURE, name="small")["classes"][0]["probability"] < 0.9


def test_both_models_count_what_they_ran_and_the_request_is_the_firsts(client: TestClient) -> None:
    for image in (SURE, UNSURE, UNSURE):
        predict(client, image)
    assert count(client, "convserve_images_total") == {("small", "1"): 3, ("large", "1"): 2}
    assert count(client, "convserve_requests_total")["small", "200"] == 3
    assert count(client, "convserve_cascade_images_total") == {("both", "unasked"): 1, ("both", "answered"): 2}


def test_the_time_is_that_of_both(client: TestClient) -> None:
    images = [("file", ("a.png", image, "image/png")) for image in (SURE, UNSURE)]
    answer = client.post("/predict/both", files=images).json()
    assert all(answer["timing"][stage] > 0 for stage in ("decode_ms", "queue_ms", "infer_ms"))
    assert (answer["model"], answer["version"]) == ("small", 1)


def test_the_images_of_one_request_are_answered_in_order_whoever_answers(client: TestClient) -> None:
    images = [("file", ("a.png", image, "image/png")) for image in (UNSURE, SURE, b"no image", UNSURE)]
    found = client.post("/predict/both", files=images).json()["predictions"]
    assert [prediction.get("model") for prediction in found] == ["large", "small", None, "large"]
    assert found[2]["error"]["code"] == "undecodable_image"
    resolve = client.app.state.services.catalog.resolve  # type: ignore[attr-defined]
    assert [resolve(name).batcher.queue_rows for name in ("small", "large")] == [0, 0]


@pytest.mark.parametrize(("when", "coverage", "model"), [("set > 1", 0.95, "large"), ("set > 1", 0.9, "small")])
def test_the_label_set_at_its_coverage_may_decide(
    repository: Path, open_client: Callable[..., TestClient], when: str, coverage: float, model: str
) -> None:
    client = open_client(repository=repository, aliases={"both": cascade(when, coverage=coverage)})
    assert predict(client, UNSURE)["model"] == model
    assert predict(client, SURE)["model"] == "small"


def test_label_sets_are_those_of_the_model_that_answers(client: TestClient) -> None:
    for image, model in ((SURE, "small"), (UNSURE, "large")):
        assert predict(client, image, "?coverage=0.95")["set"] == predict(client, image, "?coverage=0.95", model)["set"]


def test_a_full_queue_leaves_the_answer_of_the_first(
    make_app: Callable[..., FastAPI], open_client: Callable[..., TestClient], gate: Gate, in_background: Any
) -> None:
    client = open_client(make_app(max_queue_rows=1))
    running = in_background(client.post, "/predict/large", content=SURE)
    gate.entered.acquire()
    waiting = in_background(client.post, "/predict/large", content=SURE)
    batcher = client.app.state.services.catalog.resolve("large").batcher  # type: ignore[attr-defined]
    wait_until(lambda: batcher.queue_rows == 1)
    prediction = predict(client, UNSURE)
    assert (prediction["model"], prediction["second"]) == ("small", "skipped")
    assert prediction["classes"] == predict(client, UNSURE, name="small")["classes"]
    assert count(client, "convserve_cascade_images_total") == {("both", "skipped"): 1}
    gate.open.set()
    assert running.result().status_code == waiting.result().status_code == 200
    assert predict(client, UNSURE)["model"] == "large"


def test_a_deadline_that_passes_leaves_the_answer_of_the_first(
    make_app: Callable[..., FastAPI], open_client: Callable[..., TestClient], gate: Gate
) -> None:
    client = open_client(make_app())
    prediction = predict(client, UNSURE, "?timeout_ms=200")
    assert (prediction["model"], prediction["second"]) == ("small", "skipped")
    gate.open.set()


def test_a_failure_of_the_second_leaves_the_answer_of_the_first(
    make_app: Callable[..., FastAPI], open_client: Callable[..., TestClient], gate: Gate
) -> None:
    client = open_client(make_app())
    gate.open.set()
    for error in (ValueError("no"), DeviceFailed("cuda:0 failed")):
        gate.error = error
        assert predict(client, UNSURE)["second"] == "skipped"
    # The model is being loaded again, or is there again: the cascade answers all the while.
    assert predict(client, UNSURE)["classes"][0]["label"] == "dark"


def test_a_client_that_goes_away_takes_its_row_out_of_the_second_queue(client: TestClient) -> None:
    services = client.app.state.services  # type: ignore[attr-defined]

    async def go_away() -> tuple[int, int]:
        exchange = services.journal.open("POST", "/predict/both", "", "")
        batcher = services.catalog.resolve("large").batcher
        ticket = services.admission.admit(exchange, "both", PredictOptions())
        ticket.start((UNSURE,), lambda results: pytest.fail("nobody waits"), at_once=True)
        waiting = batcher.queue_rows
        ticket.abandon()
        return waiting, batcher.queue_rows

    assert client.portal is not None
    assert client.portal.call(go_away) == (1, 0)


def test_another_size_of_pixels_is_refused_in_words(client: TestClient) -> None:
    tensor = {"name": "image", "datatype": "UINT8", "shape": [1, 8, 8, 1], "data": [90] * 64}
    refused = client.post("/v2/models/both/infer", json={"inputs": [tensor]})
    assert (refused.status_code, refused.json()["code"]) == (400, "bad_tensor")
    assert "large takes pixels of [16, 16, 1], not [8, 8, 1]: send encoded images" in refused.json()["detail"]


def test_a_version_of_a_cascade_is_refused_in_words(client: TestClient) -> None:
    for path in ("/predict/both?version=1", "/v2/models/both/versions/1/infer", "/models/both/card?version=1"):
        method = "GET" if "card" in path else "POST"
        refused = client.request(method, path, content=SURE if method == "POST" else None)
        assert (refused.status_code, refused.json()["code"]) == (422, "invalid_parameter")
        assert "pin versions in the alias" in refused.json()["detail"]


def test_a_cascade_explains_by_the_model_that_answers(client: TestClient) -> None:
    for image, model in ((SURE, "small"), (UNSURE, "large")):
        answer = client.post("/explain/both", content=image).json()
        assert answer == client.post(f"/explain/{model}", content=image).json()
        assert answer["model"] == model


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"then": "other"}, "label 0 is 'black' in the first model and 'a' in the second"),
        ({"then": "three"}, "must have the same labels in the same order; they have 5 and 3"),
        ({"then": "nobody"}, "both is two models (small, then nobody when p < 0.9): there is no model 'nobody'"),
        ({"first": "large", "then": "plain", "when": "set > 2", "coverage": 0.99}, "'set > 2' needs label sets: "),
        ({"first": "plain", "when": "set > 1"}, "exported without enough validation images"),
        ({"then": "small/1"}, "its first and second model are both small 1"),
    ],
)
def test_what_cannot_go_together_is_refused_with_the_reason(
    repository: Path, open_client: Callable[..., TestClient], changes: dict[str, Any], words: str
) -> None:
    make_artifact(repository, "other", labels=("a", *LABELS[1:]))
    make_artifact(repository, "three", labels=LABELS[:3])
    make_artifact(repository, "plain")
    client = open_client(repository=repository, aliases={"both": {**cascade(), **changes}})
    for method, path in (("POST", "/predict/both"), ("POST", "/explain/both"), ("GET", "/v2/models/both/ready")):
        refused = client.request(method, path, content=SURE if method == "POST" else None)
        assert refused.status_code == 404
        assert words in refused.json()["detail"]
    assert words in client.get("/models").json()["aliases"]["both"]["reason"]
    assert words in client.get("/models/both").json()["cascade"]["reason"]


def test_a_cascade_may_bear_the_name_of_one_of_its_models(
    repository: Path, open_client: Callable[..., TestClient]
) -> None:
    client = open_client(repository=repository, aliases={"large": cascade()}, default_model="large")
    assert predict(client, UNSURE, name="large")["model"] == "large"
    assert client.post("/predict", content=SURE).json()["predictions"][0]["model"] == "small"


def test_models_and_cards_say_who_answers(client: TestClient) -> None:
    assert client.get("/models").json()["aliases"] == {"both": {**cascade(), "coverage": 0.95}}
    assert client.get("/models/both").json()["cascade"] == {**cascade(), "coverage": 0.95}
    assert "cascade" not in client.get("/models/small").json()
    assert client.get("/v2/models/both/ready").status_code == 200
    predict(client, UNSURE)
    for name in ("small", "large", "both"):
        page = client.get(f"/models/{name}/card", headers={"Accept": "text/html"}).text
        assert "both: small answers, and large where its largest probability is below 0.9." in page
        assert "So far small has answered 0 images and large 1" in page


def test_aliases_that_change_hold_from_the_next_request_on(client: TestClient) -> None:
    traffic = client.app.state.services.catalog.traffic  # type: ignore[attr-defined]
    traffic.replace({"both": "large"}, {})
    assert "model" not in predict(client, SURE)
    traffic.replace({"both": Cascade(**cascade())}, {})
    assert predict(client, SURE)["model"] == "small"
