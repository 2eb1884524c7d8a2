"""What /openapi.json promises: examples that answer 200, limits, and a key only where one is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.admission.keys import hash_key
from app.http.openapi import EXAMPLE_IMAGE
from tests.makers.artifacts import make_artifact
from tests.makers.pooled import make_pooled_artifact


def list_operations(client: TestClient) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in client.get("/openapi.json").json()["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def list_examples(client: TestClient) -> Iterator[tuple[str, str, Any]]:
    for path, method, operation in list_operations(client):
        for kind, content in operation.get("requestBody", {}).get("content", {}).items():
            if "example" in content:
                yield path, kind, (method, content["example"])


@pytest.mark.parametrize("make", [make_artifact, make_pooled_artifact], ids=["gray", "color"])
def test_every_example_of_a_request_answers_200(
    make: Callable[..., Path], tmp_path: Path, open_client: Callable[..., TestClient]
) -> None:
    for version in (1, 3, 4):
        make(tmp_path, "lenet5", version=version)
    client = open_client(repository=tmp_path, versions="all", admin_keys=[hash_key("a")])
    examples = list(list_examples(client))
    assert {path for path, _, _ in examples} >= {
        *("/predict", "/predict/{model}", "/explain/{model}", "/v1/models/{model}:predict"),
        *(
            "/v2/models/{model}/infer",
            "/aliases/{name}",
            "/shadows/{name}",
            "/hf/{model}",
            "/invocations",
            "/predictions/{model}/{version}",
        ),
    }
    for path, kind, (method, example) in examples:
        assert kind == "application/json"
        address = path.replace("{model}", "lenet5").replace("{version}", "1").replace("{name}", "best")
        answer = client.request(method, address, json=example, headers={"Authorization": "Bearer a"})
        gives_none = make is make_artifact and path == "/embed/{model}"  # it isn't pooled
        assert answer.status_code == (422 if gives_none else 200), (address, answer.text)


def test_a_key_is_asked_for_only_where_keys_are_set(repository: Path, open_client: Callable[..., TestClient]) -> None:
    keys = [hash_key("a")]
    for settings, tags in (
        ({}, set()),
        ({"api_keys": keys}, {"predict", "explain", "v1", "v2", "models", "torchserve", "huggingface", "sagemaker"}),
        ({"admin_keys": keys}, {"management"}),
    ):
        client = open_client(repository=repository, **settings)
        with_key = [operation for _, _, operation in list_operations(client) if "security" in operation]
        assert {tag for operation in with_key for tag in operation["tags"]} == tags
        assert all("401" in operation["responses"] for operation in with_key)
        others = [operation for _, _, operation in list_operations(client) if "security" not in operation]
        assert not [operation for operation in others if "401" in operation["responses"]]


def test_limits_are_in_the_document(repository: Path, open_client: Callable[..., TestClient]) -> None:
    client = open_client(repository=repository, max_images=7)
    found = {(path, method): operation for path, method, operation in list_operations(client)}
    predict = found["/predict/{model}", "post"]
    content = predict["requestBody"]["content"]
    for kind, name in (("application/json", "images"), ("multipart/form-data", "file")):
        assert content[kind]["schema"]["properties"][name]["maxItems"] == 7
    minima = {p["name"]: p["schema"].get("minimum", p["schema"]) for p in predict["parameters"] if p["in"] == "query"}
    assert minima["top_k"] == 1
    refused = client.post("/predict/tiny", json={"images": [EXAMPLE_IMAGE] * 8})
    assert (refused.status_code, refused.json()["code"]) == (413, "too_many_images")
