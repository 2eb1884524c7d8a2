"""Embeddings of the tiny pooled network: the mean color of an image, which is known beforehand."""

import base64
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as grpc_client
import tritonclient.http as http_client
from fastapi.testclient import TestClient

from app.settings import Settings
from tests.makers.artifacts import gray_image, make_artifact
from tests.makers.pooled import make_pooled_artifact, square_image
from tests.makers.threaded_server import serve_all_in_thread

RED, BLUE = (square_image(color, (0, 0, 32, 64)) for color in ("red", "blue"))
EXPECTED = {RED: [191.5, 64, 64], BLUE: [64, 64, 191.5]}
"""Half of it colored, half of it (128, 128, 128)."""
NEAR = 0.6  # the colors at the edge are mixed


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    make_pooled_artifact(tmp_path)
    make_artifact(tmp_path, "flat")
    return tmp_path


@pytest.fixture
def client(repository: Path, open_client: Callable[..., TestClient]) -> TestClient:
    return open_client(repository=repository)


def test_an_image_gives_the_mean_of_each_channel(client: TestClient) -> None:
    answer = client.post("/embed/pooled", content=RED)
    assert answer.status_code == 200
    assert "infer;dur" in answer.headers["Server-Timing"]
    body = answer.json()
    assert (body["model"], body["version"]) == ("pooled", 1)
    assert np.array(body["embeddings"]) == pytest.approx(np.array([EXPECTED[RED]]), abs=NEAR)


def test_many_images_in_each_form_give_one_vector_each_in_their_order(client: TestClient) -> None:
    images = [RED, BLUE, RED]
    expected = np.array([EXPECTED[image] for image in images])
    form = client.post("/embed/pooled", files=[("file", ("a.png", image, "image/png")) for image in images])
    texts = [base64.b64encode(image).decode() for image in images]
    as_json = client.post("/embed/pooled", json={"images": texts, "version": 1})
    for answer in (form, as_json):
        assert np.array(answer.json()["embeddings"]) == pytest.approx(expected, abs=NEAR)


def test_predictions_beside_it_hold_no_features(client: TestClient) -> None:
    before = client.post("/predict/pooled", content=RED).json()["predictions"]
    client.post("/embed/pooled", content=RED)
    assert client.post("/predict/pooled", content=RED).json()["predictions"] == before


@pytest.mark.parametrize("path", ["/embed/flat", "/embed/both"])
def test_what_gives_no_embeddings_says_why(repository: Path, open_client: Callable[..., TestClient], path: str) -> None:
    make_pooled_artifact(repository, "other")
    client = open_client(
        repository=repository, aliases={"both": {"first": "pooled", "then": "other", "when": "p < 0.9"}}
    )
    answer = client.post(path, content=RED)
    assert (answer.status_code, answer.json()["code"]) == (422, "not_embeddable")
    assert "flat" in answer.json()["detail"] or "pooled and other" in answer.json()["detail"]


def test_one_image_that_fails_fails_the_request_and_is_named(client: TestClient) -> None:
    answer = client.post("/embed/pooled", files=[("file", RED), ("file", b"words")])
    assert (answer.status_code, answer.json()["code"]) == (400, "undecodable_image")
    assert answer.json()["detail"].startswith("image 1: ")
    assert client.post("/embed/pooled?top_k=1", content=RED).status_code == 422
    assert client.post("/embed/nobody", content=RED).status_code == 404


@pytest.fixture
def ports(repository: Path) -> Iterator[tuple[int, int]]:
    with serve_all_in_thread(Settings(repository=repository, grpc_port=0)) as found:
        yield found


@pytest.mark.parametrize(("kind", "place"), [(http_client, 0), (grpc_client, 1)], ids=["http", "grpc"])
def test_the_v2_protocol_gives_it_where_it_is_asked_for(ports: tuple[int, int], kind: Any, place: int) -> None:
    client = kind.InferenceServerClient(f"127.0.0.1:{ports[place]}")
    try:
        image = kind.InferInput("image", [2], "BYTES")
        image.set_data_from_numpy(np.array([RED, BLUE], object))
        wanted = [kind.InferRequestedOutput(name) for name in ("embedding", "probabilities")]
        answer = client.infer("pooled", [image], outputs=wanted, priority=1)
        expected = np.array([EXPECTED[RED], EXPECTED[BLUE]])
        assert answer.as_numpy("embedding") == pytest.approx(expected, abs=NEAR)
        assert answer.as_numpy("probabilities").shape == (2, 2)
        assert client.infer("pooled", [image]).as_numpy("embedding") is None
        gray = kind.InferInput("image", [1], "BYTES")
        gray.set_data_from_numpy(np.array([gray_image(0)], object))
        with pytest.raises(Exception, match="no output 'embedding'"):
            client.infer("flat", [gray], outputs=wanted)
    finally:
        client.close()
