"""Pages and proxies: security headers, /docs without another address, CORS, root_path, aliases over HTTP."""

import re
from collections.abc import Callable
from pathlib import Path

from fastapi.testclient import TestClient

from tests.makers.artifacts import gray_image


def test_docs_name_every_address_and_no_other_origin(client: TestClient) -> None:
    page = client.get("/docs")
    assert page.headers["Content-Type"].startswith("text/html")
    assert "default-src 'self'" in page.headers["Content-Security-Policy"]
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    assert not re.search(r"https?://|<script", page.text)
    for path in client.get("/openapi.json").json()["paths"]:
        assert path in page.text.replace("<wbr>", "")  # where a narrow page may break the line


def test_only_named_origins_may_call_from_their_pages(repository: Path, open_client: Callable[..., TestClient]) -> None:
    client = open_client(repository=repository, cors_origins=["https://a.example"])
    allowed = client.post("/predict/tiny", content=gray_image(0), headers={"Origin": "https://a.example"})
    assert allowed.headers["Access-Control-Allow-Origin"] == "https://a.example"
    assert "X-Request-ID" in allowed.headers["Access-Control-Expose-Headers"]
    asked = {"Origin": "https://a.example", "Access-Control-Request-Method": "POST"}
    assert client.options("/predict/tiny", headers=asked).status_code == 200
    other = client.post("/predict/tiny", content=gray_image(0), headers={"Origin": "https://b.example"})
    assert "Access-Control-Allow-Origin" not in other.headers


def test_without_cors_origins_no_origin_is_allowed(client: TestClient) -> None:
    response = client.get("/models", headers={"Origin": "https://a.example"})
    assert not any(name.lower().startswith("access-control") for name in response.headers)


def test_behind_a_proxy_the_pages_link_below_its_path(repository: Path, open_client: Callable[..., TestClient]) -> None:
    client = open_client(repository=repository, root_path="/images")
    assert 'href="/images/openapi.json"' in client.get("/docs").text
    # As a proxy that cuts its path off sends it, and as one that doesn't.
    for path in ("/openapi.json", "/images/openapi.json"):
        assert client.get(path).json()["servers"] == [{"url": "/images"}]
    assert client.post("/images/predict/tiny", content=gray_image(0)).status_code == 200
    assert client.get("/web/style.css").status_code == 200


def test_an_alias_answers_with_the_name_of_its_model(repository: Path, open_client: Callable[..., TestClient]) -> None:
    client = open_client(repository=repository, aliases={"best": "tiny/1"})
    assert client.post("/predict/best", content=gray_image(0)).json()["model"] == "tiny"
    assert client.get("/v2/models/best").json()["name"] == "tiny"
    assert client.get("/models").json()["aliases"] == {"best": "tiny/1"}
