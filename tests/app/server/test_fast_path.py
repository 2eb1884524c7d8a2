"""The fast path and the general path: over real sockets, the same bytes in give the same bytes out.

What an answer measures (times, the date, the ids we give) is masked; nothing else is.
"""

import gc
import gzip
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from weakref import ref

import pytest

from app.admission.keys import hash_key
from app.catalog.catalog import Catalog
from app.server.connection import ServiceProtocol
from app.settings import Settings
from tests.makers.artifacts import gray_image, make_artifact, make_graph
from tests.makers.gate import Gate
from tests.makers.raw_client import connect, read_answer, read_to_end
from tests.makers.threaded_server import serve_in_thread
from tests.makers.waiting import wait_until

WHITE = gray_image(255)
DARK = gray_image(70, kind="JPEG")
UNSURE = gray_image(90)
LARGE = gray_image(128, size=300)
LAST = b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
ID = b"X-Request-ID: mine\r\n"
SETTINGS: dict[str, Any] = {
    "max_image_bytes": 5_000,
    "max_request_bytes": 20_000,
    "aliases": {"other": "tiny/1", "both": {"first": "tiny", "then": "large", "when": "p < 0.9"}},
    "default_model": "tiny",
}


def post(
    body: bytes = WHITE,
    path: str = "/predict/tiny",
    kind: str = "image/png",
    more: bytes = ID,
    length: int | None = None,
) -> bytes:
    size = len(body) if length is None else length
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: {size}\r\n"
    return head.encode() + more + b"\r\n" + body


def form(*images: bytes, field: bytes = b'filename="a.png"', end: bytes = b"--") -> bytes:
    head = b'--b\r\nContent-Disposition: form-data; name="file"; ' + field + b"\r\n\r\n"
    return b"".join([head + image + b"\r\n" for image in images]) + b"--b" + end + b"\r\n"


def post_form(*images: bytes, **options: bytes) -> bytes:
    return post(form(*images, **options), kind="multipart/form-data; boundary=b")


CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n" + f"{len(WHITE):x}\r\n".encode() + WHITE + b"\r\n0\r\n\r\n"
FAST: dict[str, bytes] = {
    "image": post(),
    "jpeg": post(DARK, kind="image/jpeg"),
    "large image": post(LARGE),
    "no content type": post().replace(b"Content-Type: image/png\r\n", b""),
    "octets": post(kind="application/octet-stream"),
    "default model": post(path="/predict"),
    "alias": post(path="/predict/other"),
    "cascade": post(path="/predict/both"),
    "cascade whose second model answers": post(UNSURE, path="/predict/both") * 2,
    "cascade, a form": post_form(UNSURE).replace(b"/tiny", b"/both"),
    "options": post(path="/predict/tiny?top_k=2&version=1&timeout_ms=9000"),
    "all classes": post(path="/predict/tiny?top_k=5"),
    "form": post_form(WHITE),
    "form with a jpeg": post_form(DARK),
    "an id that isn't plain": post(more=b"X-Request-ID: a b\r\n"),
    "header names in capitals": post(more=b"X-REQUEST-ID: mine\r\n"),
    "truncated image": post(WHITE[:-20]),
    "no image": post(b""),
    "words": post(b"this is not an image"),
    "unknown model": post(path="/predict/nobody"),
    "unknown version": post(path="/predict/tiny?version=7"),
    "version of a cascade": post(path="/predict/both?version=1"),
    "top_k out of range": post(path="/predict/tiny?top_k=6"),
    "coverage without figures": post(path="/predict/tiny?coverage=0.9"),
    "deadline beyond the server's": post(path="/predict/tiny?timeout_ms=99999"),
    "form without its end": post_form(WHITE, end=b""),
    "too many bytes in a form": post_form(b"x" * 5_001),
    "pipelined": post() + post(DARK) + post(b"nothing") + post(path="/predict/tiny?top_k=1"),
    "split": post() * 3,
}
GENERAL: dict[str, bytes] = {
    "wrong option": post(path="/predict/tiny?topk=2"),
    "top_k that is no number": post(path="/predict/tiny?top_k=two"),
    "an option twice": post(path="/predict/tiny?top_k=1&top_k=2"),
    "an option without a value": post(path="/predict/tiny?top_k="),
    "path with an escape": post(path="/predict/t%69ny"),
    "path with a slash": post(path="/predict/tiny/"),
    "form with two images": post_form(WHITE, DARK),
    "form with a field": post_form(WHITE, field=b""),
    "form without images": post_form(),
    "json": post(b'{"images": ["aaaa"]}', kind="application/json"),
    "unsupported type": post(kind="text/plain"),
    "form that isn't one": post(kind="application/x-www-form-urlencoded"),
    "too many bytes": post(b"x" * 5_001),
    "a header twice": post(more=ID + b"Accept: a/b\r\nAccept: c/d\r\n"),
    "compressed": post(gzip.compress(WHITE), more=ID + b"Content-Encoding: gzip\r\n"),
    "chunked": b"POST /predict/tiny HTTP/1.1\r\nHost: x\r\n" + ID + CHUNKED,
    "expectation": post(more=ID + b"Expect: 100-continue\r\n"),
    "GET": b"GET /predict/tiny HTTP/1.1\r\nHost: x\r\n" + ID + b"\r\n",
}
ENDING: dict[str, bytes] = {
    "connection closed at once": post(more=ID + b"Connection: close\r\n"),
    "HTTP/1.0": post().replace(b"HTTP/1.1", b"HTTP/1.0"),
    "connection closed at once, without an id": post(more=b"Connection: close\r\n"),
    "a folded header": post(more=b"Accept: image/png,\r\n image/jpeg\r\n"),
    "bare line feeds": post(b"\r\n\r\n" * 9, more=b"").replace(b"\r\n", b"\n", 4),
    "two lengths": post(more=ID + b"Content-Length: 3\r\n"),
}
PLAIN = post(more=b"")
TURNS: dict[str, list[bytes]] = {
    "again and again": [PLAIN] * 3,
    "another image": [PLAIN, post(DARK, more=b"")] * 2,
    "another body of the same length": [PLAIN, post(b"x" * len(WHITE), more=b"")] * 2,
    "empty lines in the body": [post(b"\r\n\r\n" * 9, more=b"")] * 2,
    "no body": [post(b"", more=b"")] * 2,
    "a form": [post(form(WHITE), kind="multipart/form-data; boundary=b", more=b"")] * 2,
    "a form with two images": [post(form(WHITE, DARK), kind="multipart/form-data; boundary=b", more=b"")] * 2,
    "in two parts": [PLAIN, PLAIN[:30], PLAIN[30:], PLAIN],
    "head and body apart": [PLAIN, PLAIN[: -len(WHITE)], WHITE, PLAIN],
    "with the next one's beginning": [PLAIN, PLAIN + PLAIN[:30], PLAIN[30:], PLAIN],
    "two at once": [PLAIN, PLAIN * 2, PLAIN],
    "behind an empty line": [PLAIN, b"\r\n" + PLAIN, b"\r\n", PLAIN, PLAIN],
    "behind another request": [PLAIN, GENERAL["chunked"], PLAIN, FAST["image"], PLAIN],
}


@pytest.fixture(scope="module")
def ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, int]]:
    """Of a server with the fast path, and of one without it."""
    repository = tmp_path_factory.mktemp("repository")
    make_artifact(repository)
    make_artifact(repository, "large", size=16, graph=make_graph(size=16, sharpness=1e-2))
    settings = Settings(repository=repository, **SETTINGS)
    with serve_in_thread(settings) as fast, serve_in_thread(settings, fast=False) as general:
        yield fast, general


@pytest.fixture
def general_requests(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The addresses of the requests that the app gets from now on."""
    return note_addresses(monkeypatch, "_begin_general")


@pytest.fixture
def parsed_requests(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The addresses of the requests that the parser reads from now on."""
    return note_addresses(monkeypatch, "on_headers_complete")


def note_addresses(monkeypatch: pytest.MonkeyPatch, method: str) -> list[bytes]:
    """Grows by the address of the request at hand at every call of a method of ServiceProtocol."""
    seen: list[bytes] = []
    original = getattr(ServiceProtocol, method)

    def note(protocol: ServiceProtocol) -> None:
        seen.append(protocol.url)
        original(protocol)

    monkeypatch.setattr(ServiceProtocol, method, note)
    return seen


def converse(port: int, stream: bytes, piece: int = 1 << 20) -> bytes:
    """Everything that is answered to `stream`, sent in pieces, until the server closes."""
    with connect(port) as client:
        for start in range(0, len(stream), piece):
            client.sendall(stream[start : start + piece])
        return read_to_end(client)


def take_turns(port: int, chunks: list[bytes]) -> bytes:
    """Everything that is answered to `chunks`, sent with pauses between them, so that the server reads each by itself,
    until it closes.
    """
    with connect(port) as client:
        for chunk in chunks:
            client.sendall(chunk)
            time.sleep(0.05)
        return read_to_end(client)


def mask(answer: bytes) -> bytes:
    for pattern in (rb"date: [^\r]+", rb"dur=[\d.]+", rb'_ms":[\d.]+', rb'_size":\d+', rb"[0-9a-f]{12}-[0-9a-f]+"):
        answer = re.sub(pattern, b"*", answer)
    # Lengths differ where the masked numbers do.
    return re.sub(rb"content-length: \d+", b"content-length: *", answer)


@pytest.mark.parametrize("stream", FAST.values(), ids=FAST.keys())
@pytest.mark.parametrize("piece", [1 << 20, 50])
def test_a_plain_request_gets_the_same_bytes_by_the_fast_path(
    ports: tuple[int, int], general_requests: list[bytes], stream: bytes, piece: int
) -> None:
    fast, general = (mask(converse(port, stream + LAST, piece)) for port in ports)
    assert fast == general
    assert fast.count(b"HTTP/1.1 ") == stream.count(b"HTTP/1.1") + 1
    # Pipelined requests behind an unanswered one take the general path, as the last of each stream does.
    taken = 2 * stream.count(b"POST") - (len(general_requests) - 2)
    assert taken > 0


@pytest.mark.parametrize("stream", GENERAL.values(), ids=GENERAL.keys())
def test_every_other_request_is_answered_by_the_app(
    ports: tuple[int, int], general_requests: list[bytes], stream: bytes
) -> None:
    fast, general = (mask(converse(port, stream + LAST)) for port in ports)
    assert fast == general
    assert len(general_requests) == 4  # this one and the last, of either server


@pytest.mark.parametrize("chunks", TURNS.values(), ids=TURNS.keys())
def test_a_request_that_comes_again_gets_the_same_bytes(ports: tuple[int, int], chunks: list[bytes]) -> None:
    fast, general = (mask(take_turns(port, [*chunks, LAST])) for port in ports)
    assert fast == general
    assert fast.count(b"HTTP/1.1 ") > 1


def test_a_head_that_was_read_before_is_not_parsed(ports: tuple[int, int], parsed_requests: list[bytes]) -> None:
    stream = [post(path="/predict/tiny?top_k=4", more=b"")] * 3
    assert take_turns(ports[0], [*stream, LAST]).count(b"HTTP/1.1 200") == 4
    assert take_turns(ports[0], [*stream, LAST]).count(b"HTTP/1.1 200") == 4
    assert parsed_requests == [b"/predict/tiny?top_k=4", b"/health/live", b"/health/live"]


@pytest.mark.parametrize("stream", ENDING.values(), ids=ENDING.keys())
def test_a_connection_ends_the_same_way(ports: tuple[int, int], stream: bytes) -> None:
    for _ in range(2):
        fast, general = (mask(converse(port, stream)) for port in ports)
        assert fast == general != b""


@pytest.mark.parametrize("mixed", [post() + LAST, post() + post(kind="text/plain") + post() + LAST])
def test_numbers_are_equal_too(ports: tuple[int, int], mixed: bytes) -> None:
    answers = [converse(port, mixed).split(b"\r\n\r\n") for port in ports]
    for answer in answers:
        lengths = [int(found) for found in re.findall(rb"content-length: (\d+)", b"\r\n".join(answer))]
        assert len(answer[1].partition(b"HTTP/1.1")[0]) == lengths[0]
    fast, general = (re.findall(rb'"probability":[\d.e-]+', b"".join(answer)) for answer in answers)
    assert fast == general != []


@pytest.mark.parametrize("key", [b"Authorization: Bearer cs-right\r\n", b"Authorization: Bearer wrong\r\n", b""])
def test_keys_are_checked_on_both_paths(repository: Path, key: bytes, parsed_requests: list[bytes]) -> None:
    settings = Settings(repository=repository, api_keys=[hash_key("cs-right")])
    with serve_in_thread(settings) as fast, serve_in_thread(settings, fast=False) as general:
        answers = [mask(take_turns(port, [post(more=key), post(more=key), LAST])) for port in (fast, general)]
    assert answers[0] == answers[1]
    assert answers[0].startswith(b"HTTP/1.1 200" if b"right" in key else b"HTTP/1.1 401")
    assert len(parsed_requests) == 6  # no key is remembered


@pytest.mark.parametrize("path", ["/images/predict/tiny", "/predict/tiny"])
def test_a_proxy_path_is_known_on_both_paths(repository: Path, path: str, general_requests: list[bytes]) -> None:
    settings = Settings(repository=repository, root_path="/images")
    stream = post(path=path) + post(b"words", path=path) + LAST
    with serve_in_thread(settings) as fast, serve_in_thread(settings, fast=False) as general:
        answers = [mask(converse(port, stream)) for port in (fast, general)]
    assert answers[0] == answers[1]
    assert b'"instance":"/images/predict/tiny"' in answers[0]
    assert len(general_requests) < 6


@pytest.fixture(params=[True, False], ids=["fast", "general"])
def fast(request: pytest.FixtureRequest) -> bool:
    taken: bool = request.param
    return taken


@pytest.fixture
def gated(fast: bool, repository: Path) -> Iterator[Callable[..., tuple[int, Gate, Catalog]]]:
    """Servers by either path whose model runs only when the gate is open."""
    with ExitStack() as stack:

        def serve(**options: Any) -> tuple[int, Gate, Catalog]:
            gate, settings = Gate(), Settings(repository=repository, **options)
            catalog = Catalog(settings, gate.load)
            port = stack.enter_context(serve_in_thread(settings, catalog=catalog, fast=fast))
            stack.callback(gate.open.set)  # before the server ends, which waits for what it accepted
            return port, gate, catalog

        yield serve


def test_a_client_that_leaves_takes_its_row_out_of_the_queue(gated: Callable) -> None:
    port, gate, catalog = gated()
    batcher = catalog.resolve("tiny").batcher
    with connect(port) as first:
        first.sendall(post())
        assert gate.entered.acquire(timeout=30)
        with connect(port) as second:
            second.sendall(post())
            wait_until(lambda: batcher.waiting_rows == 1)
        wait_until(lambda: batcher.queue_rows == 0)
        gate.open.set()
        assert read_answer(first)[0] == 200
    assert gate.batches == [1]
    counts = catalog.metrics.snapshot()["convserve_requests_total"]
    wait_until(lambda: ("tiny", "499") in catalog.metrics.snapshot()["convserve_requests_total"])
    assert ("tiny", "500") not in counts


def test_a_deadline_is_kept(gated: Callable) -> None:
    port, _gate, catalog = gated()
    with connect(port) as client:
        client.sendall(post(path="/predict/tiny?timeout_ms=50") + LAST)
        status, headers, body = read_answer(client)
    assert (status, json.loads(body)["code"]) == (504, "deadline_exceeded")
    assert headers["x-request-id"] == "mine"
    assert catalog.resolve("tiny").batcher.queue_rows == 0


def test_a_full_queue_is_429_with_retry_after(gated: Callable) -> None:
    port, gate, _catalog = gated(max_queue_rows=1)
    with connect(port) as running, connect(port) as waiting, connect(port) as refused:
        running.sendall(post())
        assert gate.entered.acquire(timeout=30)
        waiting.sendall(post())
        status = 200
        while status == 200:
            refused.sendall(post(path="/predict/tiny?timeout_ms=9000"))
            status, headers, _body = read_answer(refused)
        gate.open.set()
        assert (status, headers["retry-after"].isdigit()) == (429, True)
        assert read_answer(running)[0] == read_answer(waiting)[0] == 200


def test_a_refusal_waits_for_no_body(gated: Callable, general_requests: list[bytes], fast: bool) -> None:
    """It is sent once the head is here; what still comes of the body is dropped, and the connection goes on."""
    port, gate, catalog = gated(max_queue_rows=1)
    batcher = catalog.resolve("tiny").batcher
    with connect(port) as running, connect(port) as waiting, connect(port) as refused:
        running.sendall(post())
        assert gate.entered.acquire(timeout=30)
        waiting.sendall(post())
        wait_until(lambda: batcher.waiting_rows == 1)
        body = b"x" * 4_000_000
        for _ in range(2):
            refused.sendall(post(b"", length=len(body)))
            status, _headers, problem = read_answer(refused)
            assert (status, json.loads(problem)["code"]) == (429, "overloaded")
            refused.sendall(body)
        assert len(general_requests) == (0 if fast else 4)
        gate.open.set()
        assert read_answer(running)[0] == read_answer(waiting)[0] == 200
        refused.sendall(post())
        assert read_answer(refused)[0] == 200


def test_a_refused_body_that_does_not_come_ends_the_connection_without_another_word(gated: Callable) -> None:
    port, _gate, _catalog = gated(body_timeout_s=0.1)
    with connect(port) as client:
        client.sendall(post(b"begun", path="/predict/nobody", length=100))
        answer = read_to_end(client)
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert answer.count(b"HTTP/1.1 ") == 1


def test_what_a_model_cannot_run_is_an_error_of_its_own(gated: Callable) -> None:
    port, gate, _catalog = gated()
    gate.error = ValueError("no")
    gate.open.set()
    answer = mask(converse(port, post() + LAST))
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b'"code":"row_failed"' in answer


def test_a_large_batch_is_answered_to_everybody(gated: Callable) -> None:
    """Among its clients one that asks for two more at once, one that ends its connection, and one that is gone."""
    port, gate, catalog = gated()
    batcher = catalog.resolve("tiny").batcher
    with ExitStack() as stack:
        clients = [stack.enter_context(connect(port)) for _ in range(24)]
        clients[0].sendall(post())
        assert gate.entered.acquire(timeout=30)
        for number, client in enumerate(clients[1:]):
            more = ID.replace(b"mine", b"%d" % number) + (b"Connection: close\r\n" if number == 1 else b"")
            client.sendall(post(more=more) + (post(DARK) + post(path="/predict/nobody") if number == 0 else b""))
        wait_until(lambda: batcher.waiting_rows == 23)
        clients.pop().close()
        wait_until(lambda: batcher.waiting_rows == 22)
        gate.open.set()
        pipelining = clients[1]
        answers = [read_answer(client) for client in (clients[0], *clients[2:])]
        assert {status for status, _, _ in answers} == {200}
        assert [headers["x-request-id"] for _, headers, _ in answers] == ["mine", *map(str, range(1, 22))]
        assert read_to_end(clients[2]) == b""
        pipelining.sendall(LAST)
        assert re.findall(rb"HTTP/1.1 (\d+).*?x-request-id: (\w+)", read_to_end(pipelining), re.S | re.I)[:3] == [
            (b"200", b"0"),
            (b"200", b"mine"),
            (b"404", b"mine"),
        ]
    assert gate.batches[:2] == [1, 22]


@pytest.mark.parametrize("fast", [True, False])
def test_what_was_accepted_is_answered_while_the_server_drains(repository: Path, fast: bool) -> None:
    gate, settings = Gate(), Settings(repository=repository)
    with serve_in_thread(settings, catalog=Catalog(settings, gate.load), fast=fast) as port:
        client = connect(port)
        client.sendall(post())
        assert gate.entered.acquire(timeout=30)
        threading.Timer(0.3, gate.open.set).start()
    with client:  # the server has ended by now
        status, headers, _body = read_answer(client)
        assert (status, headers["connection"]) == (200, "close")
        assert client.recv(1) == b""


def send_until_stuck(client: socket.socket, stream: bytes, most: int) -> int:
    """How many bytes the other side takes before it stops reading, at most about `most`."""
    client.settimeout(1)
    sent = 0
    while sent < most:
        try:
            sent += client.send(stream)
        except TimeoutError:
            break
    return sent


def test_a_client_that_does_not_read_is_not_read_from(ports: tuple[int, int]) -> None:
    """Answers that nobody takes must not pile up: what is sent on stays in the sender's socket."""
    for port in ports:
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # few answers fill it
            client.connect(("127.0.0.1", port))
            assert send_until_stuck(client, post() * 1000, 20_000_000) < 20_000_000
            client.settimeout(30)
            assert read_answer(client)[0] == 200


def test_an_unloaded_model_is_not_kept_by_the_addresses_that_asked_for_it(repository: Path) -> None:
    settings = Settings(repository=repository, admin_keys=[hash_key("cs-admin")])
    catalog = Catalog(settings)
    unload = (
        b"POST /v2/repository/models/tiny/unload HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer cs-admin\r\n"
        b"Content-Length: 0\r\n\r\n"
    )
    with serve_in_thread(settings, catalog=catalog) as port:
        assert converse(port, post(path="/predict/tiny?top_k=3") + LAST).startswith(b"HTTP/1.1 200")
        old = ref(catalog.resolve("tiny"))
        assert converse(port, unload + LAST).startswith(b"HTTP/1.1 200")

        def is_gone() -> bool:
            gc.collect()
            return old() is None

        wait_until(is_gone)
