"""What real clients and strangers send that isn't plain HTTP/1.1: the same on the fast path and on the general one."""

from __future__ import annotations

import http.client
import json
import logging
import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.catalog.catalog import Catalog
from app.settings import Settings
from tests.makers.artifacts import gray_image, make_artifact
from tests.makers.raw_client import connect, read_to_end
from tests.makers.threaded_server import serve_in_thread

WHITE = gray_image(255)
LAST = b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
SMUGGLED = b"GET /models HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture(scope="module", params=[True, False], ids=["fast", "general"])
def port(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    repository = tmp_path_factory.mktemp("repository")
    make_artifact(repository)
    settings = Settings(
        repository=repository, max_image_bytes=100_000, cors_origins=["https://example.org"], access_log=True
    )
    with serve_in_thread(settings, fast=request.param) as found:
        yield found


def post(body: bytes, *lines: bytes, path: bytes = b"/predict/tiny") -> bytes:
    head = [b"POST " + path + b" HTTP/1.1", b"Host: x", b"Content-Type: image/png", *lines]
    return b"\r\n".join([*head, b"", body])


def framed(body: bytes, framing: str, *lines: bytes) -> bytes:
    if framing == "length":
        return post(body, *lines, b"Content-Length: %d" % len(body))
    return post(b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body), *lines, b"Transfer-Encoding: chunked")


def converse(port: int, stream: bytes, piece: int = 1 << 20) -> list[int]:
    """The statuses of all answers to `stream`, sent in pieces, until the server closes."""
    with connect(port) as client:
        for start in range(0, len(stream), piece):
            client.sendall(stream[start : start + piece])
        return [int(found) for found in re.findall(rb"HTTP/1\.1 (\d+) ", read_to_end(client))]


UPGRADES = {
    "h2c": (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA"),
    "websocket": (b"Upgrade: websocket", b"Connection: keep-alive, Upgrade"),
    "TLS": (b"connection: upgrade", b"upgrade: TLS/1.0"),
}


@pytest.mark.parametrize("upgrade", UPGRADES.values(), ids=UPGRADES.keys())
@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("piece", [1 << 20, 1, 50])
def test_a_wish_to_change_the_protocol_is_passed_over(
    port: int, upgrade: tuple[bytes, ...], framing: str, piece: int
) -> None:
    plain = framed(WHITE, "length")
    wishing = framed(WHITE, framing, *upgrade)
    assert converse(port, wishing + LAST, piece) == [200, 200]
    assert converse(port, plain + wishing + wishing + plain + LAST, piece) == [200] * 5
    without_body = b"\r\n".join([b"GET /models HTTP/1.1", b"Host: x", *upgrade, b"", b""])
    assert converse(port, without_body + without_body + LAST, piece) == [200] * 3


@pytest.mark.parametrize("upgrade", UPGRADES.values(), ids=UPGRADES.keys())
@pytest.mark.parametrize("piece", [1 << 20, 1])
def test_a_body_that_looks_like_a_request_is_a_body(port: int, upgrade: tuple[bytes, ...], piece: int) -> None:
    assert converse(port, framed(SMUGGLED, "length", *upgrade) + LAST, piece) == [400, 200]


def test_connect_is_refused_and_nothing_behind_it_is_read(port: int) -> None:
    assert converse(port, b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n" + SMUGGLED) == [405]


@pytest.mark.parametrize("piece", [1 << 20, 40])
@pytest.mark.parametrize("request_", [framed(WHITE, "length"), SMUGGLED, framed(b"no image", "length")])
def test_whole_requests_are_answered_before_what_is_no_http(port: int, request_: bytes, piece: int) -> None:
    statuses = converse(port, request_ + b"\0\0 this is not HTTP\r\n\r\n", piece)
    assert statuses == [400 if b"no image" in request_ else 200, 400]
    pipelined = converse(port, request_ * 3 + b"\0\0", piece)
    assert pipelined == [statuses[0]] * 3 + [400]


CHUNKS = b"Transfer-Encoding: chunked"
NO_CHUNK = b"5\r\nabcde\r\nzz\r\n"
UNFINISHED = {
    "a bad chunk": (post(NO_CHUNK, CHUNKS), [400]),
    "a bad chunk behind its refusal": (post(NO_CHUNK, CHUNKS, path=b"/predict/nobody"), [404]),
    "a bad chunk behind another request": (framed(WHITE, "length") + post(NO_CHUNK, CHUNKS), [200, 400]),
    "half a body": (post(b"abc", b"Content-Length: 9"), [408]),
    "half a body behind its refusal": (post(b"abc", b"Content-Length: 9", path=b"/predict/nobody"), [404]),
    "half a body behind another request": (framed(WHITE, "length") + post(b"a", b"Content-Length: 9"), [200, 408]),
}


@pytest.mark.parametrize(("stream", "statuses"), UNFINISHED.values(), ids=UNFINISHED.keys())
@pytest.mark.parametrize("fast", [True, False], ids=["fast", "general"])
def test_a_request_whose_body_is_never_whole_gets_one_answer_and_counts_once(
    repository: Path, stream: bytes, statuses: list[int], fast: bool
) -> None:
    settings = Settings(repository=repository, body_timeout_s=0.1)
    catalog = Catalog(settings)
    with serve_in_thread(settings, catalog=catalog, fast=fast) as port:
        assert converse(port, stream) == statuses
    counts = catalog.metrics.snapshot()["convserve_requests_total"]
    models = ["" if status == 404 else "tiny" for status in statuses]
    assert set(counts) == {(model, str(status)) for model, status in zip(models, statuses, strict=True)}
    assert sum(figures[0] for figures in counts.values()) == len(statuses)


def test_what_is_sent_behind_the_last_request_takes_no_answer_away(port: int) -> None:
    for _ in range(5):
        with connect(port) as client:
            client.sendall(framed(WHITE, "length", b"Connection: close"))
            for _ in range(20):
                client.sendall(bytes(100_000))
            assert read_to_end(client).startswith(b"HTTP/1.1 200 ")


def test_a_trailer_is_no_header(port: int) -> None:
    whole = post(b"%x\r\n%s\r\n0\r\n%s\r\n\r\n" % (len(WHITE), WHITE, b"Host: a b\r\nX-Request-ID: late"), CHUNKS)
    with connect(port) as client:
        client.sendall(whole + LAST)
        answer = read_to_end(client)
    assert re.findall(rb"HTTP/1\.1 (\d+) ", answer) == [b"200", b"200"]
    assert b"late" not in answer


HEADS = {
    "no host": (b"GET /models HTTP/1.1\r\n\r\n", 400),
    "two hosts": (b"GET /models HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", 400),
    "a path as host": (b"GET /models HTTP/1.1\r\nHost: x/y\r\n\r\n", 400),
    "a host with a space": (b"GET /models HTTP/1.1\r\nHost: x y\r\n\r\n", 400),
    "a user in the host": (b"GET /models HTTP/1.1\r\nHost: me@x\r\n\r\n", 400),
    "a port that is none": (b"GET /models HTTP/1.1\r\nHost: x:y\r\n\r\n", 400),
    "a coding that isn't known": (post(b"0\r\n\r\n", b"Transfer-Encoding: gzip, chunked"), 501),
    "a coding alone": (post(b"", b"Transfer-Encoding: gzip"), 501),
    "HTTP/2.0": (b"GET /models HTTP/2.0\r\nHost: x\r\n\r\n", 505),
    "HTTP/0.9": (b"GET /models HTTP/0.9\r\nHost: x\r\n\r\n", 505),
    "a prediction without a host": (framed(WHITE, "length").replace(b"Host: x\r\n", b""), 400),
}


@pytest.mark.parametrize(("head", "status"), HEADS.values(), ids=HEADS.keys())
def test_a_head_that_can_mean_anything_is_refused(port: int, head: bytes, status: int) -> None:
    assert converse(port, head + SMUGGLED) == [status]


@pytest.mark.parametrize("piece", [1 << 20, 20_000, 63_000])
@pytest.mark.parametrize(("size", "status"), [(63_500, [200, 200]), (64_500, [413])])
def test_the_limit_on_a_head_does_not_know_how_it_came(port: int, size: int, status: list[int], piece: int) -> None:
    head = post(WHITE, b"X: " + bytes(size).replace(b"\0", b"x"), b"Content-Length: %d" % len(WHITE))
    assert converse(port, head + LAST, piece) == status


def test_what_is_refused_by_its_head_is_logged_by_its_own_name(port: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "convserve.access")
    with connect(port) as client:
        client.sendall(b"GET /models?a HTTP/1.1\r\nX-Request-ID: mine\r\n\r\n")
        problem = json.loads(read_to_end(client).partition(b"\r\n\r\n")[2])
    assert (problem["status"], problem["instance"], problem["request_id"]) == (400, "/models", "mine")
    (record,) = [record for record in caplog.records if record.name == "convserve.access"]
    assert (record.fields["method"], record.fields["path"], record.fields["request_id"]) == ("GET", "/models", "mine")


@pytest.mark.parametrize("host", [b"x", b"example.org:8000", b"127.0.0.1", b"[::1]:80", b"", b"a_b", b"x%41"])
def test_a_valid_host_is_taken(port: int, host: bytes) -> None:
    assert converse(port, LAST.replace(b"Host: x", b"Host: " + host)) == [200]


def test_http_1_0_needs_no_host(port: int) -> None:
    assert converse(port, b"GET /models HTTP/1.0\r\n\r\n") == [200]


@pytest.mark.parametrize("size", [200_000, 5_000_000])
@pytest.mark.parametrize("path", ["/predict/nobody", "/predict/tiny", "/nowhere"])
def test_a_refusal_reaches_a_client_that_is_still_sending(port: int, path: str, size: int) -> None:
    for _ in range(5):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("POST", path, bytes(size), {"Content-Type": "image/png", "Connection": "close"})
        answer = connection.getresponse()
        assert answer.status == (413 if path.endswith("tiny") else 404)
        assert json.loads(answer.read())["status"] == answer.status
        connection.close()


def test_head_is_get_without_a_body(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    for path in ("/health/live", "/health/ready", "/models", "/models/tiny", "/metrics", "/", "/v2", "/nowhere"):
        connection.request("GET", path)
        with_body = connection.getresponse()
        body = with_body.read()
        connection.request("HEAD", path)
        without = connection.getresponse()
        assert (without.status, without.read()) == (with_body.status, b"")
        if path != "/metrics":
            assert abs(int(without.headers["content-length"]) - len(body)) < 20  # an error holds its request's id
    connection.close()


def test_head_where_only_post_is_says_what_was_asked(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    for method, path, allowed in (("HEAD", "/predict/tiny", "POST"), ("PUT", "/models/", "GET, HEAD")):
        connection.request(method, path)
        answer = connection.getresponse()
        assert (answer.status, answer.headers["allow"]) == (405, allowed)
        if body := answer.read():
            assert json.loads(body)["instance"] == "/models/"
    connection.close()


def test_a_slash_at_the_end_is_answered_and_not_redirected(port: int) -> None:
    assert converse(port, framed(WHITE, "length").replace(b"/predict/tiny", b"/predict/tiny/") + LAST) == [200, 200]
    assert converse(port, SMUGGLED.replace(b"/models", b"/models/") + LAST) == [200, 200]


def test_a_page_may_read_that_it_was_too_slow(tmp_path: Path) -> None:
    make_artifact(tmp_path)
    settings = Settings(repository=tmp_path, body_timeout_s=0.1, cors_origins=["https://example.org"])
    with serve_in_thread(settings) as port:
        for origin, said in ((b"https://example.org", True), (b"https://else.org", False)):
            with connect(port) as client:
                client.sendall(post(b"x", b"Origin: " + origin, b"Content-Length: 9", b"X-Request-ID: mine"))
                answer = read_to_end(client)
            assert answer.startswith(b"HTTP/1.1 408 ")
            assert b"x-request-id: mine\r\n" in answer
            assert (b"access-control-allow-origin: " + origin + b"\r\n" in answer) == said


@pytest.mark.parametrize("flags", [("--workers", "1"), ("--workers", "2")], ids=["one process", "two workers"])
def test_connections_that_the_kernel_took_are_answered_by_a_server_that_stops(
    start_server: Callable, flags: tuple[str, ...]
) -> None:
    """They wait at the listener of a process that stands still while it is told to stop."""
    server = start_server(*flags)
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
    listening = [int(pid) for pid in children] or [server.process.pid]
    for pid in listening:
        os.kill(pid, signal.SIGSTOP)
    clients = [connect(server.port) for _ in range(16)]
    for client in clients:
        client.sendall(framed(WHITE, "length", b"Connection: close"))
    for pid in listening:
        os.kill(pid, signal.SIGTERM)
        os.kill(pid, signal.SIGCONT)
    for client in clients:
        with client:
            assert read_to_end(client).startswith(b"HTTP/1.1 200 ")
    if not children:
        assert server.process.wait(30) == 0
