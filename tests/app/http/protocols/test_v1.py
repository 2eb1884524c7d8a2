import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.makers.artifacts import gray_image, make_artifact


def instances(*images: bytes) -> dict[str, Any]:
    return {"instances": [{"b64": base64.b64encode(image).decode()} for image in images]}


def test_instances_give_probabilities_in_label_order(client: TestClient) -> None:
    response = client.post("/v1/models/tiny:predict", json=instances(gray_image(255), gray_image(0)))
    assert response.status_code == 200
    white, black = response.json()["predictions"]
    assert (len(white), white.index(max(white)), black.index(max(black))) == (5, 4, 0)
    assert sum(white) == pytest.approx(1, abs=1e-5)
    assert "infer;dur=" in response.headers["Server-Timing"]


TEXT = base64.b64encode(gray_image(255)).decode()


@pytest.mark.parametrize(
    "instance",
    [
        {"image_bytes": {"b64": TEXT}, "key": "1"},  # the flowers example of KServe and TensorFlow Serving
        {"data": TEXT, "target": 0},  # the mnist example of KServe with TorchServe
        {"body": TEXT},
        {"b64": f"data:image/png;base64,{TEXT}"},
    ],
)
def test_instances_as_the_clients_of_others_write_them(client: TestClient, instance: dict[str, Any]) -> None:
    plain = client.post("/v1/models/tiny:predict", json=instances(gray_image(255), gray_image(255)))
    answer = client.post("/v1/models/tiny:predict", json={"instances": [instance] * 2})
    assert answer.json() == plain.json()


@pytest.mark.parametrize("named", [False, True])
def test_columns_are_answered_as_outputs(client: TestClient, named: bool) -> None:
    """TensorFlow Serving's columnar format."""
    rows = instances(gray_image(255), gray_image(0))["instances"]
    answer = client.post("/v1/models/tiny:predict", json={"inputs": {"image_bytes": rows} if named else rows})
    plain = client.post("/v1/models/tiny:predict", json={"instances": rows})
    assert answer.json() == {"outputs": plain.json()["predictions"]}


def test_as_many_images_as_are_allowed_may_stand_beside_other_values(client: TestClient) -> None:
    row = {"image_bytes": {"b64": f"data:image/png;base64,{TEXT}"}, "key": "1"}
    answer = client.post("/v1/models/tiny:predict", json={"instances": [row] * 64})
    assert len(answer.json()["predictions"]) == 64


def test_a_version_can_be_named(repository: Path, open_client: Callable[..., TestClient]) -> None:
    make_artifact(repository, version=2)
    client = open_client(repository=repository, versions="all")
    assert client.post("/v1/models/tiny/versions/1:predict", json=instances(gray_image(0))).status_code == 200
    assert client.post("/v1/models/tiny/versions/9:predict", json=instances(gray_image(0))).status_code == 404
    states = client.get("/v1/models/tiny").json()["model_version_status"]
    assert [(entry["version"], entry["state"]) for entry in states] == [("2", "AVAILABLE"), ("1", "AVAILABLE")]
    assert states[0]["status"] == {"error_code": "OK", "error_message": ""}
    (one,) = client.get("/v1/models/tiny/versions/2").json()["model_version_status"]
    assert one["version"] == "2"
    assert client.get("/v1/models/tiny/versions/3").status_code == 404


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"json": {"instances": []}}, 400, "empty"),
        ({"json": {"instances": [1.0]}}, 400, "b64"),
        ({"json": {"instances": [{"b64": TEXT}, {"key": "1"}]}}, 400, "instance 1 has no images"),
        ({"json": {"instances": [{"left": {"b64": TEXT}, "right": {"b64": TEXT}}]}}, 400, "instance 0 has 2 images"),
        ({"json": {"instances": [{"b64": TEXT}, "text"]}}, 400, "instance 1 is no object"),
        ({"json": {"inputs": {"left": [{"b64": TEXT}], "right": [{"b64": TEXT}]}}}, 400, "instances"),
        ({"json": {"instances": [[[[0.5]] * 8] * 8]}}, 400, "whole numbers from 0 to 255"),
        ({"json": {"instances": [[[[256]] * 8] * 8]}}, 400, "whole numbers from 0 to 255"),
        ({"json": {"instances": [[[0] * 8] * 8]}}, 400, "takes ['n', 8, 8, 1]"),
        ({"json": {"instances": [[[[0]] * 8] * 7]}}, 400, "the shape of instances is [1, 7, 8, 1]"),
        ({"json": {"instances": [[[[0]] * 8] * 8, [[[0]] * 8] * 7]}}, 400, "not a regular tensor"),
        ({"json": {"instances": [[[[0]] * 8] * 8] * 65}}, 413, "max_images"),
        ({"json": {"inputs": {}}}, 400, "instances"),
        ({"json": instances(gray_image(0), b"junk")}, 400, "instance 1: "),
        ({"json": {"instances": [{"b64": "x"}] * 65}}, 413, "max_images"),
        ({"content": b"[" * 5000}, 400, "deep"),
        ({"content": b"{"}, 400, "not JSON"),
    ],
)
def test_bad_instances_are_named(client: TestClient, body: dict[str, Any], status: int, words: str) -> None:
    response = client.post("/v1/models/tiny:predict", **body)
    assert (response.status_code, response.headers["Content-Type"]) == (status, "application/problem+json")
    assert words in response.json()["error"]


def test_instances_of_numbers_are_the_pixels(client: TestClient) -> None:
    white, black = ([[[level]] * 8] * 8 for level in (255, 0))
    by_pixels = client.post("/v1/models/tiny:predict", json={"instances": [white, black]})
    by_files = client.post("/v1/models/tiny:predict", json=instances(gray_image(255), gray_image(0)))
    assert by_pixels.status_code == 200, by_pixels.json()
    assert by_pixels.json() == by_files.json()


def test_a_model_says_whether_it_is_ready_as_kserves_clients_ask(client: TestClient) -> None:
    found = client.get("/v1/models/tiny").json()
    assert (found["name"], found["ready"]) == ("tiny", True)
