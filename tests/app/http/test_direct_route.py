"""Addresses whose functions read the request themselves: nothing of what the framework would check is forgotten."""

from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.admission.keys import hash_key
from app.admission.options import PredictOptions
from app.http.direct_route import DirectRoute, describe_options
from app.main import create_app
from app.settings import Settings
from tests.makers.artifacts import gray_image


def list_direct(app: FastAPI) -> list[str]:
    return [route.path for route in app.routes if isinstance(route, DirectRoute)]


def test_every_direct_address_asks_for_a_key(repository: Path, open_client: Callable[..., TestClient]) -> None:
    app = create_app(Settings(repository=repository, api_keys=[hash_key("cs-right")]))
    client, paths = open_client(app), list_direct(app)
    assert len(paths) >= 6
    for path in paths:
        answer = client.post(path.format(model="tiny", version="1"), content=gray_image(0))
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized"), path


@pytest.mark.parametrize("version", ["0", "-1", "two", "1.5"])
def test_a_version_in_a_path_that_is_none_is_422(client: TestClient, version: str) -> None:
    app = client.app
    assert isinstance(app, FastAPI)
    for path in list_direct(app):
        if "{version}" in path:
            answer = client.post(path.format(model="tiny", version=version), json={})
            assert answer.status_code == 422, path
            assert answer.json()["detail"].startswith(f"version is '{version}': ")


def test_the_document_says_what_each_direct_address_takes(client: TestClient) -> None:
    app = client.app
    assert isinstance(app, FastAPI)
    paths = client.get("/openapi.json").json()["paths"]
    for path in list_direct(app):
        parameters = paths[path]["post"]["parameters"]
        in_path = {f"{{{parameter['name']}}}" for parameter in parameters if parameter["in"] == "path"}
        assert in_path == {name for name in ("{model}", "{version}") if name in path}
        if path in ("/predict", "/predict/{model}", "/invocations"):
            named = {parameter["name"] for parameter in parameters if parameter["in"] == "query"}
            assert named == PredictOptions.names()


def test_an_option_is_described_by_its_type_and_may_be_left_out() -> None:
    described = {parameter["name"]: parameter for parameter in describe_options(PredictOptions)}
    coverage = described["coverage"]
    assert not coverage["required"]
    assert coverage["schema"]["anyOf"][0] == {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}
    assert "default" not in coverage["schema"]
