import io
import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from app.observe.logs import JsonFormatter, RequestIds, TextFormatter, current_request
from app.observe.tracing import read_trace_id
from tests.makers.artifacts import gray_image

TRACE = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = f"00-{TRACE}-b7ad6b7169203331-01"


def format_record(formatter: logging.Formatter, **extra: object) -> str:
    record = logging.makeLogRecord({"msg": "hello %s", "args": ("wörld",), "levelname": "INFO", **extra})
    return formatter.format(record)


def test_a_json_line_holds_the_ids_of_its_request() -> None:
    token = current_request.set(RequestIds("r-1", TRACE))
    entry = json.loads(format_record(JsonFormatter(), fields={"status": 200}))
    current_request.reset(token)
    assert (entry["message"], entry["request_id"], entry["trace_id"]) == ("hello wörld", "r-1", TRACE)
    assert (entry["level"], entry["status"]) == ("info", 200)
    assert "request_id" not in json.loads(format_record(JsonFormatter()))


def test_a_trace_is_within_its_line() -> None:
    try:
        raise ValueError("x")
    except ValueError as error:
        line = format_record(JsonFormatter(), exc_info=(ValueError, error, error.__traceback__))
    assert "\n" not in line
    assert "ValueError: x" in json.loads(line)["trace"]


def test_a_line_of_text_ends_with_the_id_of_its_request() -> None:
    token = current_request.set(RequestIds("r-1"))
    line = format_record(TextFormatter())
    current_request.reset(token)
    assert line.endswith("INFO hello wörld [r-1]")


@pytest.mark.parametrize(
    "header",
    [
        "",
        "x",
        TRACEPARENT[:-1],
        f"00-{'0' * 32}-b7ad6b7169203331-01",
        f"ff-{TRACE}-b7ad6b7169203331-01",
        "00-" + "z" * 52,
    ],
)
def test_a_broken_traceparent_is_passed_over(header: str) -> None:
    assert read_trace_id(header) == ""


def test_the_access_log_carries_the_ids_of_each_request(
    repository: Path, open_client: Callable[..., TestClient]
) -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    access = logging.getLogger("convserve.access")
    access.addHandler(handler)
    access.setLevel(logging.INFO)
    try:
        client = open_client(repository=repository, access_log=True)
        headers = {"X-Request-ID": "mine", "traceparent": TRACEPARENT}
        client.post("/predict/tiny", content=gray_image(0), headers=headers)
        client.post("/predict/tiny", content=b"junk")
    finally:
        access.removeHandler(handler)
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert (first["request_id"], first["trace_id"], first["status"]) == ("mine", TRACE, 200)
    assert (first["method"], first["path"], first["model"]) == ("POST", "/predict/tiny", "tiny")
    assert second["status"] == 400
