"""The HTTP/1.1 of the server itself, over real sockets: deadlines, limits, pipelining, what isn't HTTP."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from app.settings import Settings
from tests.makers.artifacts import gray_image
from tests.makers.raw_client import connect, read_answer, read_to_end
from tests.makers.threaded_server import serve_in_thread

WHITE = gray_image(255)
HEAD = (
    f"POST /predict/tiny HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: {len(WHITE)}\r\n\r\n"
).encode()
LIVE = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
def serve(repository: Path) -> Callable[..., object]:
    return lambda **settings: serve_in_thread(Settings(repository=repository, **settings))


@pytest.mark.parametrize(
    ("sent", "setting", "model"),
    [
        (b"GET /health", "header_timeout_s", ""),
        (HEAD + WHITE[:9], "body_timeout_s", "tiny"),
        (LIVE + b"GET /", "header_timeout_s", ""),
    ],
    ids=["header", "body", "second header"],
)
def test_a_request_that_comes_too_slowly_is_408(serve: Callable, sent: bytes, setting: str, model: str) -> None:
    with serve(**{setting: 0.1}) as port, connect(port) as client:
        client.sendall(sent)
        if sent.startswith(LIVE):
            assert read_answer(client)[0] == 200
        status, headers, body = read_answer(client)
        problem = json.loads(body)
        assert (status, problem["code"], headers["connection"]) == (408, "request_timeout", "close")
        assert setting in problem["detail"]
        assert problem["request_id"] == headers["x-request-id"]
        assert client.recv(1) == b""
        with connect(port) as other:
            other.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
            counted = f'convserve_rejections_total{{model="{model}",reason="request_timeout"}} 1'
            assert counted.encode() in read_answer(other)[2]


def test_a_connection_that_sends_nothing_is_closed_without_a_word(serve: Callable) -> None:
    with serve(header_timeout_s=0.1) as port, connect(port) as client:
        assert client.recv(1) == b""


def test_a_trickle_of_header_bytes_wins_no_time(serve: Callable) -> None:
    with serve(header_timeout_s=0.3) as port, connect(port) as client:
        client.sendall(b"GET / HTTP/1.1\r\n")
        client.settimeout(0.02)
        answer = b""
        while not answer:
            client.sendall(b"X: y\r\n")
            try:
                answer = client.recv(65_536)
            except TimeoutError:
                continue
        assert answer.startswith(b"HTTP/1.1 408 ")


def test_what_is_not_http_gets_a_problem(serve: Callable) -> None:
    with serve() as port, connect(port) as client:
        client.sendall(b"\x16\x03\x01\x02\x00\x01\x00 hello?\r\n\r\n")
        status, headers, body = read_answer(client)
        assert (status, headers["content-type"]) == (400, "application/problem+json")
        assert json.loads(body)["code"] == "bad_request"


def test_an_endless_header_is_refused(serve: Callable) -> None:
    with serve() as port, connect(port) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
        client.sendall((b"X: " + b"y" * 8_000 + b"\r\n") * 1000)  # what comes after the answer is dropped
        assert read_to_end(client).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_split_and_pipelined_requests_are_answered_in_order(serve: Callable, size: int) -> None:
    stream = (HEAD + WHITE + LIVE) * 2
    with serve() as port, connect(port) as client:
        for start in range(0, len(stream), size):
            client.sendall(stream[start : start + size])
        bodies = []
        reader = client.makefile("rb")
        for _ in range(4):
            assert reader.readline() == b"HTTP/1.1 200 OK\r\n"
            length = 0
            while line := reader.readline().strip():
                if line.lower().startswith(b"content-length"):
                    length = int(line.split()[1])
            bodies.append(json.loads(reader.read(length)))
        assert [sorted(body)[0] for body in bodies] == ["model", "status", "model", "status"]


def test_a_chunked_body_and_expect_100(serve: Callable) -> None:
    head = b"POST /predict/tiny HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n"
    with serve() as port, connect(port) as client:
        client.sendall(head)
        assert client.recv(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
        for piece in (WHITE[:20], WHITE[20:]):
            client.sendall(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        client.sendall(b"0\r\n\r\n")
        assert read_answer(client)[0] == 200


def test_500_slow_connections_do_not_stop_others(serve: Callable) -> None:
    with serve(header_timeout_s=5) as port:
        slow = [connect(port) for _ in range(500)]
        try:
            for client in slow:
                client.sendall(b"POST /predict/tiny HTTP/1.1\r\nContent-Le")
            for _ in range(20):
                with connect(port) as client:
                    client.sendall(HEAD + WHITE)
                    assert read_answer(client)[0] == 200
            assert all(client.recv(12) == b"HTTP/1.1 408" for client in slow)
        finally:
            for client in slow:
                client.close()
