"""What /openapi.json promises: examples that answer 200, limits, and a key only where one is asked for."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.admission.keys import hash_key
from app.http.answers import ANSWERS
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


def test_operations_have_names_of_their_own_without_their_paths(
    repository: Path, open_client: Callable[..., TestClient]
) -> None:
    client = open_client(repository=repository, health_route="/vertex/health", predict_route="/vertex/predict")
    names = {found["operationId"]: f"{path}_{method}" for path, method, found in list_operations(client)}
    assert len(names) == len(list(list_operations(client)))
    assert [name for name in names if not re.fullmatch(r"[a-z]+[0-9]?(_[a-z]+){0,3}", name)] == []
    # FastAPI makes one of function, path and method where none is given.
    assert [name for name, address in names.items() if name.endswith(re.sub(r"\W", "_", address))] == []
    # Clients are generated from them: a name that is here stays.
    assert {
        "predict",
        "predict_default",
        "explain",
        "embed",
        "list_models",
        "v1_predict",
        "v2_model_infer",
    } < names.keys()


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


def test_every_operation_is_named_by_its_description_and_not_by_its_function(client: TestClient) -> None:
    summaries = {(path, method): operation["summary"] for path, method, operation in list_operations(client)}
    assert summaries["/v1/models/{model}/versions/{version}:predict", "post"] == "Classify with one version"
    assert summaries["/explain/{model}", "post"] == "Where the network found the evidence for a class"
    assert not [place for place, summary in summaries.items() if not summary or (summary.istitle() and " " in summary)]


def test_every_json_answer_has_an_example(client: TestClient) -> None:
    missing = [
        (path, method)
        for path, method, operation in list_operations(client)
        for kind, content in operation["responses"]["200"].get("content", {}).items()
        if kind == "application/json" and "example" not in content
    ]
    assert missing == []


def test_examples_of_answers_have_the_keys_that_a_service_answers_with(
    tmp_path: Path, open_client: Callable[..., TestClient]
) -> None:
    repository = tmp_path / "repository"
    for version in (1, 3, 4):
        make_pooled_artifact(repository, "lenet5", version=version)
    (tmp_path / "key").write_text("k" * 32)
    given = {"repository": repository, "versions": "all", "receipt_key": tmp_path / "key"}
    client = open_client(**given, admin_keys=[hash_key("a")])
    receipt = client.post("/predict/lenet5?receipt=1", json={"images": [EXAMPLE_IMAGE]}).json()["predictions"][0]
    bodies = {"/feedback": {"receipt": receipt["receipt"], "label": "red"}, "/aliases/{name}": {"to": "lenet5/3"}}
    operations = {f"{method.upper()} {path}": operation for path, method, operation in list_operations(client)}
    for operation, example in ANSWERS.items():  # in its order: an alias is set, then taken back; unloading is last
        method, path = operation.split(" ")
        address = path.replace("{model}", "lenet5").replace("{version}", "3").replace("{name}", "best")
        asked = operations[operation].get("requestBody", {}).get("content", {}).get("application/json", {})
        if operation == "GET /aliases/{name}":
            client.put("/aliases/best", json={"to": "lenet5"}, headers={"Authorization": "Bearer a"})
        answer = client.request(
            method, address, json=bodies.get(path, asked.get("example")), headers={"Authorization": "Bearer a"}
        )
        assert answer.status_code == 200, (operation, answer.text)
        assert_same_keys(example, answer.json(), operation)


def assert_same_keys(example: Any, answer: Any, where: str) -> None:
    """Whatever the example has, the answer has too; what it leaves out is in cards, sizes of batches and aliases."""
    if isinstance(example, dict):
        shortened = where.endswith(("card", "ms_of_batch", "aliases"))
        assert shortened or example.keys() == answer.keys(), where
        for key in example.keys() & answer.keys():
            assert_same_keys(example[key], answer[key], f"{where}.{key}")
    elif isinstance(example, list) and example and answer:
        assert_same_keys(example[0], answer[0], where)
    else:
        assert isinstance(answer, type(example)) or answer in (None, 0), where
