import http.client
import io
import json
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from app.catalog.catalog import Catalog
from app.observe.access_log import Exchange
from app.observe.logs import JsonFormatter, TextFormatter, on_behalf_of
from app.observe.tracing import read_trace_id
from app.settings import Settings
from tests.makers.artifacts import gray_image
from tests.makers.gate import Gate
from tests.makers.threaded_server import serve_in_thread

TRACE = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = f"00-{TRACE}-b7ad6b7169203331-01"


def format_record(formatter: logging.Formatter, **extra: object) -> str:
    record = logging.makeLogRecord({"msg": "hello %s", "args": ("wörld",), "levelname": "INFO", **extra})
    return formatter.format(record)


def test_a_json_line_holds_the_ids_of_its_request() -> None:
    with on_behalf_of(Exchange("GET", "/", "r-1", TRACE)):
        entry = json.loads(format_record(JsonFormatter(), fields={"status": 200}))
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
    with on_behalf_of(Exchange("GET", "/", "r-1", "")):
        line = format_record(TextFormatter())
    assert line.endswith("INFO hello wörld [r-1]")


# What begins lines, commands terminals, or turns the direction of writing: C0, DEL, C1, separators, marks, and the
# surrogates that stand for bytes which aren't UTF-8.
STRANGE = "".join(map(chr, (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029, 0x200B, 0x202E, 0x2066, 0xFEFF, 0xDCE9)))


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()])
def test_nothing_in_a_record_begins_a_line_or_commands_a_terminal(formatter: logging.Formatter) -> None:
    try:
        raise ValueError(f"a{STRANGE}2026-01-01 00:00:00,000 INFO b")
    except ValueError as error:
        trace = {"exc_info": (ValueError, error, error.__traceback__)}
    text = format_record(formatter, args=(STRANGE,), **trace)
    assert text.replace("\n", "").isprintable()
    _, *below = text.split("\n")
    assert all(line.startswith("  ") for line in below)
    assert "\\u001b" in text
    assert "\\udce9" in text


def test_a_line_of_json_gives_back_what_was_logged() -> None:
    entry = json.loads(format_record(JsonFormatter(), args=(STRANGE,), fields={"path": STRANGE}))
    assert entry["path"] == STRANGE


def test_a_record_with_the_wrong_arguments_is_a_line_too() -> None:
    assert format_record(TextFormatter("worker 7"), args=(1, 2)).endswith("INFO worker 7: hello %s (1, 2)")


def test_what_is_written_past_the_log_is_a_line_of_json_too() -> None:
    program = """
import threading, warnings
from app.observe.logs import set_up_logging
set_up_logging("info", "json")
warnings.warn("a library\\nwarns")
thread = threading.Thread(target=lambda: 1 / 0)
thread.start()
thread.join()
class Broken:
    def __del__(self): raise OSError("in a finalizer")
Broken()
raise ValueError("nobody catches it")
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    entries = [json.loads(line) for line in ended.stderr.splitlines()]
    assert [entry["level"] for entry in entries] == ["warning", "error", "error", "error"]
    assert "a library\nwarns" in entries[0]["message"]
    for entry, name in zip(entries[1:], ("ZeroDivisionError", "OSError", "ValueError"), strict=True):
        assert name in entry["trace"]


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """What the service logs, as JSON."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield stream
    root.removeHandler(handler)
    root.setLevel(level)


@pytest.mark.parametrize("fast", [True, False], ids=["fast path", "general path"])
def test_every_line_about_a_request_has_its_ids_whichever_thread_logs_it(
    fast: bool, repository: Path, lines: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    from app.inference import decoder

    decode = decoder.decode_image

    def decode_with_a_word(*arguments: object) -> object:
        logging.getLogger("library").warning("decoding in a thread")
        return decode(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(decoder, "decode_small", lambda *arguments: None)
    monkeypatch.setattr(decoder, "decode_image", decode_with_a_word)
    gate = Gate()
    gate.error = ValueError("one row is bad")
    gate.open.set()
    settings = Settings(repository=repository, access_log=True)
    with serve_in_thread(settings, catalog=Catalog(settings, gate.load), fast=fast) as port:
        lines.truncate(0)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        headers = {"Content-Type": "image/png", "X-Request-ID": "mine", "traceparent": TRACEPARENT}
        connection.request("POST", "/predict/tiny", gray_image(0), headers)
        assert connection.getresponse().status == 400
        connection.close()
    entries = [json.loads(line) for line in lines.getvalue().strip("\0").splitlines()]
    found = [(entry["message"], entry["request_id"], entry["trace_id"]) for entry in entries if "request_id" in entry]
    access = entries[[entry["logger"] for entry in entries].index("convserve.access")]["message"]
    assert sorted(found) == sorted(
        (message, "mine", TRACE) for message in ("decoding in a thread", "the model can't process one row", access)
    )


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
