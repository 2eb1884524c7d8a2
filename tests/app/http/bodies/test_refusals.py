"""Bad requests: each its status, with a problem that names the value, the limit and the remedy.

And the service goes on.
"""

import base64
import gzip
import io
import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from app.http.schemas import Problem
from tests.makers.artifacts import gray_image

WHITE = gray_image(255)


def jpeg() -> bytes:
    buffer = io.BytesIO()
    Image.effect_noise((64, 64), 90).save(buffer, "JPEG")
    return buffer.getvalue()


def png_bomb() -> bytes:
    """A PNG of 30,000 x 30,000 pixels in about 100 kB."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 30_000, 30_000, 1, 0, 0, 0, 0)
    pixels = zlib.compress(bytes(30_000 * (30_000 // 8 + 1)), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def form(*parts: bytes, end: bytes = b"--b--\r\n") -> dict[str, Any]:
    body = b"".join(b"--b\r\n" + part + b"\r\n" for part in parts) + end
    return {"content": body, "headers": {"Content-Type": "multipart/form-data; boundary=b"}}


FILE = b'Content-Disposition: form-data; name="f"; filename="a.png"\r\n\r\n'


def typed(content_type: str, content: bytes = WHITE, **headers: str) -> dict[str, Any]:
    return {"content": content, "headers": {"Content-Type": content_type, **headers}}


REFUSALS: dict[str, tuple[str, dict[str, Any], int, str, str]] = {
    "a truncated JPEG": ("/predict/tiny", {"content": jpeg()[:400]}, 400, "undecodable_image", "send the file again"),
    "text named as an image": ("/predict/tiny", typed("image/png", b"hello"), 400, "undecodable_image", "not an image"),
    "an empty body": ("/predict/tiny", {"content": b""}, 400, "empty_body", "0 bytes"),
    "a decompression bomb": ("/predict/tiny", {"content": png_bomb()}, 413, "too_many_pixels", "30000x30000"),
    "HEIC": ("/predict/tiny", {"content": b"\0\0\0\x18ftypheic" + bytes(16)}, 415, "unsupported_type", "JPEG"),
    "curl's default type": (
        "/predict/tiny",
        typed("application/x-www-form-urlencoded"),
        *(415, "unsupported_type", "-H 'Content-Type: image/jpeg'"),
    ),
    "another type": ("/predict/tiny", typed("text/plain"), 415, "unsupported_type", "multipart/form-data"),
    "an unknown model": ("/predict/other", {"content": WHITE}, 404, "unknown_model", "there are tiny"),
    "top_k=0": ("/predict/tiny?top_k=0", {"content": WHITE}, 422, "invalid_parameter", "from 1 to 5"),
    "top_k=1000000": ("/predict/tiny?top_k=1000000", {"content": WHITE}, 422, "invalid_parameter", "from 1 to 5"),
    "top_k=many": ("/predict/tiny?top_k=many", {"content": WHITE}, 422, "invalid_parameter", "'many'"),
    "version=0": ("/predict/tiny?version=0", {"content": WHITE}, 422, "invalid_parameter", "version is '0'"),
    "coverage=2": ("/predict/tiny?coverage=2", {"content": WHITE}, 422, "invalid_parameter", "less than 1"),
    "a misspelled parameter": ("/predict/tiny?topk=3", {"content": WHITE}, 422, "invalid_parameter", "topk"),
    "a longer deadline": ("/predict/tiny?timeout_ms=99999", {"content": WHITE}, 422, "invalid_parameter", "10000"),
    "broken base64": ("/predict/tiny", {"json": {"images": ["@@@"]}}, 400, "undecodable_image", "base64"),
    "base64 of nothing": ("/predict/tiny", {"json": {"images": [""]}}, 400, "empty_body", "0 bytes"),
    "broken JSON": ("/predict/tiny", typed("application/json", b'{"images": ['), 400, "bad_json", "not JSON"),
    "JSON of another shape": ("/predict/tiny", {"json": {"image": "x"}}, 400, "bad_json", "images"),
    "JSON with numbers": ("/predict/tiny", {"json": {"images": [1]}}, 400, "bad_json", "numbers"),
    "JSON with pixels": ("/predict/tiny", {"json": {"images": [[[0] * 28] * 28] * 9}}, 400, "bad_json", "UINT8"),
    "JSON with objects": ("/predict/tiny", {"json": {"images": [{}]}}, 400, "bad_json", "strings"),
    "an unknown key in JSON": (
        "/predict/tiny",
        {"json": {"images": ["x"], "topk": 3}},
        422,
        "invalid_parameter",
        "topk",
    ),
    "a wrong option in JSON": (
        "/predict/tiny",
        {"json": {"images": ["x"], "top_k": 0}},
        *(422, "invalid_parameter", "from 1 to 5"),
    ),
    "an option said twice": (
        "/predict/tiny?top_k=2",
        {"json": {"images": ["x"], "top_k": 3}},
        *(422, "invalid_parameter", "top_k is 2 in the address and 3 in the body"),
    ),
    "JSON that is a list": ("/predict/tiny", {"json": ["x"]}, 400, "bad_json", "images"),
    "no image in JSON": ("/predict/tiny", {"json": {"images": []}}, 400, "empty_body", "empty"),
    "deep JSON": ("/predict/tiny", typed("application/json", b"[" * 100_000), 400, "bad_json", "deep"),
    "wide JSON": (
        "/predict/tiny",
        typed("application/json", b"[" + b"0," * 100_000 + b"0]"),
        *(413, "too_many_images", "64"),
    ),
    "65 images in JSON": ("/predict/tiny", {"json": {"images": ["x"] * 65}}, 413, "too_many_images", "max_images"),
    "65 files": (
        "/predict/tiny",
        {"files": [("f", ("x.png", WHITE))] * 65},
        *(413, "too_many_images", "max_images"),
    ),
    "a form without a boundary": ("/predict/tiny", typed("multipart/form-data"), 400, "bad_form", "boundary"),
    "a boundary of 100 kB": (
        "/predict/tiny",
        typed("multipart/form-data; boundary=" + "b" * 500),
        *(400, "bad_form", "boundary"),
    ),
    "a form cut short": (
        "/predict/tiny",
        form(b'Content-Disposition: form-data; name="f"; filename="a.png"\r\n\r\n' + WHITE, end=b""),
        *(400, "bad_form", "whole"),
    ),
    "a form that is none": ("/predict/tiny", typed("multipart/form-data; boundary=b", b"xx"), 400, "bad_form", ""),
    "a form without a file": ("/predict/tiny", form(), 400, "empty_body", "curl -F file=@image.jpg"),
    "a form of options alone": (
        "/predict/tiny",
        form(b'Content-Disposition: form-data; name="top_k"\r\n\r\n3'),
        *(400, "empty_body", "curl -F file=@image.jpg"),
    ),
    "a wrong option in a form": (
        "/predict/tiny",
        form(FILE + WHITE, b'Content-Disposition: form-data; name="top_k"\r\n\r\nmany'),
        *(422, "invalid_parameter", "'many'"),
    ),
    "an option twice in a form": (
        "/predict/tiny",
        form(FILE + WHITE, *[b'Content-Disposition: form-data; name="top_k"\r\n\r\n3'] * 2),
        *(400, "bad_form", "top_k twice"),
    ),
    "an unknown encoding": (
        "/predict/tiny",
        typed("image/png", **{"Content-Encoding": "br"}),
        *(415, "unsupported_type", "gzip and deflate"),
    ),
    "gzip that is none": (
        "/predict/tiny",
        typed("image/png", **{"Content-Encoding": "gzip"}),
        *(400, "bad_request", "compress it again"),
    ),
    "an unknown path": ("/predicts", {"content": WHITE}, 404, "unknown_path", "/docs"),
    "a wrong method": ("/models", {"content": WHITE}, 405, "method_not_allowed", "GET"),
}


@pytest.mark.parametrize(("path", "body", "status", "code", "words"), REFUSALS.values(), ids=REFUSALS.keys())
def test_each_bad_request_gets_its_status_and_a_problem(
    client: TestClient, path: str, body: dict[str, Any], status: int, code: str, words: str
) -> None:
    response = client.post(path, **body)
    problem = Problem.model_validate(response.json())
    assert (response.status_code, problem.status, problem.code) == (status, status, code), problem.detail
    assert response.headers["Content-Type"] == "application/problem+json"
    assert words in problem.detail
    assert problem.error == problem.detail
    assert problem.instance == path.partition("?")[0]
    assert problem.request_id == response.headers["X-Request-ID"]
    assert client.post("/predict/tiny", content=WHITE).status_code == 200


LIMITS = {"max_image_bytes": 2_000, "max_request_bytes": 5_000, "max_images": 4, "max_queue_rows": 3}
BIG = bytes(2_001)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"content": BIG}, "image_too_large"),
        ({"content": iter([BIG[:1500], BIG[1500:]])}, "image_too_large"),
        (typed("image/png", gzip.compress(bytes(10_000_000)), **{"Content-Encoding": "gzip"}), "image_too_large"),
        ({"files": [("f", ("a.png", BIG))]}, "image_too_large"),
        ({"files": [("f", ("a.png", bytes(1_500)))] * 4}, "request_too_large"),
        ({"json": {"images": [base64.b64encode(BIG).decode()]}}, "image_too_large"),
        ({"json": {"images": ["x" * 6_000]}}, "request_too_large"),
        ({"files": [("f", ("a.png", WHITE))] * 5}, "too_many_images"),
        ({"files": [("f", ("a.png", WHITE))] * 4}, "too_many_rows"),
    ],
    ids=["image", "streamed", "inflated", "file", "form", "base64", "json", "files", "rows"],
)
def test_each_limit_gives_413_and_names_itself(
    repository: Path, open_client: Callable[..., TestClient], body: dict[str, Any], code: str
) -> None:
    client = open_client(repository=repository, **LIMITS)
    response = client.post("/predict/tiny", **body)
    assert (response.status_code, response.json()["code"]) == (413, code), response.json()
    limit = {"too_many_rows": "max_queue_rows", "too_many_images": "max_images"}.get(code, "max_")
    assert limit in response.json()["detail"]
    assert client.post("/predict/tiny", content=WHITE).status_code == 200


def test_an_unexpected_error_is_logged_and_answered_without_a_trace(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    app: Any = client.app

    async def broken() -> None:
        raise ZeroDivisionError("secret detail")

    app.get("/broken")(broken)
    response = client.get("/broken")
    problem = Problem.model_validate(response.json())
    assert (response.status_code, problem.code) == (500, "internal")
    assert "secret" not in response.text
    assert "Traceback" not in response.text
    assert problem.request_id in caplog.text
    assert "secret detail" in caplog.text


def test_json_answers_keep_other_alphabets_readable(client: TestClient) -> None:
    response = client.post("/predict/größe", content=WHITE)
    assert "größe" in response.text
    json.loads(response.text)
