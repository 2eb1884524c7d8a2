from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.admission.keys import find_key, hash_key, make_key
from tests.makers.artifacts import gray_image

KEY, OTHER = make_key(), make_key()


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@pytest.mark.parametrize("path", ["/predict/tiny", "/predict", "/v1/models/tiny:predict", "/v2/models/tiny/infer"])
@pytest.mark.parametrize(
    "headers", [{}, bearer(OTHER), {"Authorization": f"Basic {KEY}"}, {"Authorization": "Bearer ключ".encode()}]
)
def test_predicting_without_a_key_is_401_before_the_body_is_read(
    repository: Path, open_client: Callable[..., TestClient], path: str, headers: dict[str, Any]
) -> None:
    client = open_client(repository=repository, api_keys=[hash_key(KEY)])
    response = client.post(path, content=bytes(20_000_000), headers=headers)
    assert (response.status_code, response.json()["code"]) == (401, "unauthorized")
    assert response.headers["WWW-Authenticate"] == "Bearer"


def test_a_key_opens_predictions_and_not_management(repository: Path, open_client: Callable[..., TestClient]) -> None:
    client = open_client(repository=repository, api_keys=[hash_key(KEY)], admin_keys=[hash_key(OTHER)])
    assert client.post("/predict/tiny", content=gray_image(0), headers=bearer(KEY)).status_code == 200
    assert client.post("/predict/tiny", content=gray_image(0), headers=bearer(OTHER)).status_code == 401
    assert client.post("/v2/repository/models/tiny/load", headers=bearer(KEY)).status_code == 401
    assert client.post("/v2/repository/models/tiny/load", headers=bearer(OTHER)).status_code == 200
    assert client.post("/v2/repository/index").status_code == 200  # as open as /models
    for open_path in ("/health/ready", "/models", "/metrics", "/docs"):
        assert client.get(open_path).status_code == 200


def test_only_hashes_of_keys_are_kept() -> None:
    assert len(hash_key(KEY)) == 64
    assert find_key(KEY, [hash_key(OTHER), hash_key(KEY)]) == 1
    assert find_key(OTHER, [hash_key(KEY)]) is None
    assert find_key("", []) is None
    assert len({make_key() for _ in range(10)}) == 10
