import asyncio
import http.client
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest
from starlette.requests import Request

from app.main import create_app
from app.server.server import make_server
from app.settings import Settings
from tests.makers.artifacts import gray_image
from tests.makers.running_server import RunningServer, run_serve

WHITE = gray_image(255)


def post(port: int, body: bytes, path: str = "/predict/tiny") -> tuple[int, dict[str, object]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("POST", path, body, {"Content-Type": "image/png"})
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def test_a_started_server_answers(start_server: Callable) -> None:
    server = start_server()
    status, answer = post(server.port, WHITE)
    assert (status, answer["model"]) == (200, "tiny")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_server_ends_with_status_0(start_server: Callable, number: int) -> None:
    assert start_server().stop(number) == 0


def test_a_request_accepted_before_sigterm_is_answered(start_server: Callable) -> None:
    server = start_server()
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as client:
        head = (
            f"POST /predict/tiny HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: {len(WHITE)}\r\n\r\n"
        )
        client.sendall(head.encode() + WHITE[:10])
        post(server.port, WHITE)  # the server has read what came before
        server.process.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            server.process.wait(0.5)
        client.sendall(WHITE[10:])
        answer = client.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert server.process.wait(30) == 0


def test_a_body_over_the_limit_gets_its_answer_though_the_client_sends_it_all(start_server: Callable) -> None:
    server = start_server()
    status, problem = post(server.port, bytes(20_000_000))
    assert (status, problem["code"]) == (413, "image_too_large")
    assert post(server.port, WHITE)[0] == 200


def test_an_address_in_use_is_one_line_and_status_2(start_server: Callable, repository: Path) -> None:
    server = start_server()
    again = run_serve("--port", str(server.port), "--repository", str(repository))
    assert again.returncode == 2
    assert again.stderr == f"convserve serve: port {server.port} is already in use: choose another with --port\n"


def send_strange_requests(port: int) -> None:
    """A malformed form, a path that would clear the screen, an upgrade, and what isn't HTTP."""
    form = {"Content-Type": "multipart/form-data; boundary=x"}
    for method, path, body, headers in (
        ("POST", "/predict/tiny", b"junk", form),
        ("GET", "/%1b%5b2J%0aINFO%20forged", b"", {}),
        ("GET", "/models", b"", {"Connection": "Upgrade", "Upgrade": "websocket"}),
    ):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request(method, path, body, headers)
        connection.getresponse().read()
        connection.close()
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        client.sendall(b"NOT HTTP\r\n\r\n")
        client.makefile("rb").read()


ACCESS = ["POST /predict/tiny 400", "GET /\x1b[2J\nINFO forged 404", "GET /models 200", "- - 400"]


@pytest.mark.parametrize("workers", [1, 2])
def test_every_line_is_json_and_a_request_is_one_whatever_it_was(repository: Path, workers: int) -> None:
    flags = ("--repository", str(repository), "--access-log", "--log-format", "json", "--workers", str(workers))
    server = RunningServer(*flags)
    try:
        send_strange_requests(server.port)
        assert server.stop() == 0
    finally:
        server.end()
    entries = [json.loads(line) for line in "".join(server.lines).splitlines()]
    access = [entry for entry in entries if entry["logger"] == "convserve.access"]
    # A line is written once its answer was sent: of two processes the next one's may come first.
    assert sorted(entry["message"].rsplit(" ", 2)[0] for entry in access) == sorted(ACCESS)
    assert all(entry["request_id"] for entry in access)
    assert {entry["pid"] == server.process.pid for entry in access} == {workers == 1}
    said = [entry["message"] for entry in entries if entry not in access]
    assert not [message for message in said if "install" in message]
    assert [message for message in said if message.startswith("SIGTERM: stopping")]
    assert said[-1] == "stopped"


def test_a_server_says_what_it_still_has_to_answer(start_server: Callable) -> None:
    server = start_server("--workers", "1", "--access-log")
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as client:
        head = f"POST /predict/tiny HTTP/1.1\r\nHost: x\r\nContent-Length: {len(WHITE)}\r\n\r\n"
        client.sendall(head.encode() + WHITE[:10])
        post(server.port, WHITE)  # the server has read what came before
        server.process.send_signal(signal.SIGTERM)
        server.wait_for(r"INFO SIGTERM: stopping, once 1 requests are answered, 30 s at most$")
        client.sendall(WHITE[10:])
        assert client.makefile("rb").read().startswith(b"HTTP/1.1 200 OK")
    server.wait_for("INFO stopped$")
    assert server.process.wait(30) == 0


def test_a_repository_that_is_not_there_ends_the_command(tmp_path: Path) -> None:
    for form in ("text", "json"):
        ended = run_serve("--repository", str(tmp_path / "none"), "--log-format", form)
        assert ended.returncode == 2
        assert "fill it with convserve-export" in ended.stderr
        assert len(ended.stderr.splitlines()) == 1


def test_an_empty_repository_is_said_and_waited_for(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "app", "serve", "--port", "0", "--repository", str(tmp_path)],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        assert "WARNING the repository" in process.stderr.readline()
        assert " at http://127.0.0.1:" in process.stderr.readline()
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("believed", "peer", "scheme"),
    [
        (["127.0.0.1"], "127.0.0.1", "https"),
        (["127.0.0.1"], "10.1.2.3", "http"),
        (["10.0.0.0/8"], "10.1.2.3", "https"),
        (["*"], "10.1.2.3", "https"),
        ([], "127.0.0.1", "http"),
    ],
)
def test_only_the_named_proxies_are_believed(repository: Path, believed: list[str], peer: str, scheme: str) -> None:
    settings = Settings(repository=repository, forwarded_allow_ips=believed)
    app = create_app(settings)

    @app.get("/scheme")
    async def tell_scheme(request: Request) -> str:
        return request.url.scheme

    config = make_server(app, settings).config
    config.load()

    async def ask() -> httpx2.Response:
        transport = httpx2.ASGITransport(config.loaded_app, client=(peer, 1))
        async with httpx2.AsyncClient(transport=transport, base_url="http://service") as client:
            return await client.get("/scheme", headers={"X-Forwarded-Proto": "https"})

    assert asyncio.run(ask()).json() == scheme


def test_a_server_with_one_model_stays_small(start_server: Callable) -> None:
    server = start_server()
    post(server.port, WHITE)
    status = Path(f"/proc/{server.process.pid}/status")
    if not status.exists():
        pytest.skip("no /proc on this system")
    (resident,) = (line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmRSS"))
    assert int(resident) / 1024 < 300, "MB resident"
