import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.makers.artifacts import gray_image, make_artifact

TEXT = base64.b64encode(gray_image(150)).decode()


def test_ping_follows_readiness(client: TestClient, tmp_path: Path, open_client: Callable[..., TestClient]) -> None:
    assert client.get("/ping").json() == {"status": "Healthy"}
    (tmp_path / "none").mkdir()
    answer = open_client(repository=tmp_path / "none").get("/ping")
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")


@pytest.mark.parametrize("kind", ["image/png", "application/x-image", "application/octet-stream"])
def test_an_image_gets_the_answer_of_predict(client: TestClient, kind: str) -> None:
    answer = client.post("/invocations?top_k=2", content=gray_image(150), headers={"Content-Type": kind})
    predicted = client.post("/predict/tiny?top_k=2", content=gray_image(150)).json()
    assert answer.json()["predictions"] == predicted["predictions"]
    assert answer.json()["model"] == "tiny"


def test_instances_and_inputs_get_the_answer_of_v1(client: TestClient) -> None:
    rows = client.post("/v1/models/tiny:predict", json={"instances": [{"b64": TEXT}]}).json()
    for key in ("instances", "inputs"):
        assert client.post("/invocations", json={key: [{"b64": TEXT}]}).json() == rows
    pixels = [[[[150]] * 8] * 8] * 3
    assert client.post("/invocations", json={"inputs": pixels, "params": {}}).json() == {
        "predictions": rows["predictions"] * 3
    }


def test_the_json_of_predict_is_taken_too(client: TestClient) -> None:
    answer = client.post("/invocations", json={"images": [TEXT], "top_k": 1}).json()
    assert [len(entry["classes"]) for entry in answer["predictions"]] == [1]


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"instances": [TEXT]}, 400, "b64"),
        ({"instances": [{"b64": TEXT}], "parameters": {"top_k": 3}}, 422, "unknown parameter 'top_k'"),
        ({"instances": [{"b64": TEXT}], "parameters": 3}, 422, "parameters is '3'"),
        ({"instances": [{"b64": TEXT}], "parameters": {"version": 9}}, 404, "version"),
        ({"instances": []}, 400, "empty"),
        ({"inputs": [{"b64": TEXT}] * 65}, 413, "max_images"),
        ({"dataframe_split": {}}, 400, "images"),
    ],
)
def test_what_is_wrong_is_named(client: TestClient, body: Any, status: int, words: str) -> None:
    answer = client.post("/invocations", json=body)
    assert answer.status_code == status
    assert words in answer.json()["detail"]


def test_it_is_for_the_default_model(repository: Path, open_client: Callable[..., TestClient]) -> None:
    make_artifact(repository, "other")
    client = open_client(repository=repository)
    assert client.post("/invocations", content=gray_image(0)).json()["code"] == "unknown_model"
    client = open_client(repository=repository, default_model="other")
    assert client.post("/invocations", content=gray_image(0)).json()["model"] == "other"
