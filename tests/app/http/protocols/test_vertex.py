import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient

from tests.makers.artifacts import gray_image

INSTANCES: dict[str, Any] = {"instances": [{"b64": base64.b64encode(gray_image(150)).decode()}]}
# What Vertex AI takes where nobody names an address.
ROUTE = "/v1/endpoints/1234/deployedModels/5678"


def test_the_addresses_are_those_that_are_set(repository: Path, open_client: Callable[..., TestClient]) -> None:
    client = open_client(repository=repository, health_route=ROUTE, predict_route=f"{ROUTE}:predict")
    assert client.get(ROUTE).json() == {"status": "Healthy"}
    answer = client.post(f"{ROUTE}:predict", json={**INSTANCES, "parameters": {"timeout_ms": 5000}})
    assert answer.status_code == 200
    assert answer.json() == client.post("/v1/models/tiny:predict", json=INSTANCES).json()
    assert client.post("/v1/models/tiny:predict", json=INSTANCES).status_code == 200


def test_predict_itself_may_be_the_address(repository: Path, open_client: Callable[..., TestClient]) -> None:
    client = open_client(repository=repository, health_route="/health/live", predict_route="/predict")
    rows = client.post("/predict", json=INSTANCES).json()
    assert rows == client.post("/v1/models/tiny:predict", json=INSTANCES).json()
    image = client.post("/predict?top_k=1", content=gray_image(150))
    assert (
        image.json()["predictions"]
        == client.post("/predict/tiny?top_k=1", content=gray_image(150)).json()["predictions"]
    )
    assert client.get("/health/live").json() == {"status": "live"}
    paths = client.get("/openapi.json").json()["paths"]
    assert "/predict/{model}" in paths


def test_without_the_settings_there_is_nothing(client: TestClient) -> None:
    assert client.post(f"{ROUTE}:predict", json=INSTANCES).status_code == 404
