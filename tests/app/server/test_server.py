import http.client
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.makers.artifacts import gray_image

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


def test_an_address_in_use_is_one_line_and_status_2(start_server: Callable) -> None:
    server = start_server()
    again = subprocess.run(
        [sys.executable, "-m", "app", "serve", "--port", str(server.port)], capture_output=True, text=True, timeout=60
    )
    assert again.returncode == 2
    assert "can't be listened at" in again.stderr
    assert len(again.stderr.splitlines()) == 1


def test_a_server_with_one_model_stays_small(start_server: Callable) -> None:
    server = start_server()
    post(server.port, WHITE)
    status = Path(f"/proc/{server.process.pid}/status")
    if not status.exists():
        pytest.skip("no /proc on this system")
    (resident,) = (line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmRSS"))
    assert int(resident) / 1024 < 300, "MB resident"
