"""The nginx.conf of docs/operating.md is run as it stands, but for addresses and paths."""

from __future__ import annotations

import os
import re
import shutil
import socket
import ssl
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.makers.artifacts import gray_image, make_artifact
from tests.makers.running_server import RunningServer
from tests.makers.sources import ROOT

NGINX = shutil.which("nginx")
FLAGS = ("--keep-alive-s", "65", "--poll-s", "0", "--workers", "2")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(NGINX is None, reason="there is no nginx")]


@dataclass
class Proxy:
    """nginx in front of two ports, on the first of which a service runs."""

    port: int
    service_ports: list[int]
    repository: Path
    services: list[RunningServer] = field(default_factory=list)

    def start_service(self, place: int) -> RunningServer:
        started = RunningServer("--repository", str(self.repository), *FLAGS, port=self.service_ports[place])
        self.services.append(started)
        return started

    def ask(self, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
        kind = {} if body is None else {"Content-Type": "image/png"}
        request = urllib.request.Request(f"https://127.0.0.1:{self.port}{path}", body, kind | (headers or {}))
        try:
            with urllib.request.urlopen(request, timeout=30, context=ssl._create_unverified_context()) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()


def find_ports(number: int) -> list[int]:
    sockets = [socket.socket() for _ in range(number)]
    try:
        for found in sockets:
            found.bind(("127.0.0.1", 0))
        return [found.getsockname()[1] for found in sockets]
    finally:
        for found in sockets:
            found.close()


def write_configuration(folder: Path, port: int, services: list[int]) -> Path:
    (text,) = re.findall(r"```nginx\n(.*?)```", (ROOT / "docs/operating.md").read_text(), re.DOTALL)
    replaced = {
        "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
        "127.0.0.1:8001": f"127.0.0.1:{services[0]}",
        "127.0.0.1:8002": f"127.0.0.1:{services[1]}",
        # Where nginx may write is the system's to say, not the document's.
        "http {": "http {\naccess_log off;\n"
        + "".join(f"{kind}_temp_path {folder};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")),
    }
    for old, new in replaced.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    file = folder / "nginx.conf"
    file.write_text(text)
    return file


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[Proxy]:
    make_artifact(tmp_path / "repository")
    port, *services = find_ports(3)
    words = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"]
    outputs = ["-keyout", tmp_path / "key.pem", "-out", tmp_path / "chain.pem"]
    subprocess.run(["openssl", *words, *outputs], check=True, capture_output=True)
    file = write_configuration(tmp_path, port, services)
    found = Proxy(port, services, tmp_path / "repository")
    found.start_service(0)
    assert NGINX is not None
    where = ["-p", tmp_path, "-c", file, "-e", tmp_path / "error.log"]
    # Started by root, nginx would become a user that can't write below the tests' folder.
    user = "user root; " if os.geteuid() == 0 else ""
    running = subprocess.Popen([NGINX, *where, "-g", f"{user}daemon off; pid {tmp_path / 'nginx.pid'};"])
    try:
        wait_until_open(port, running)
        yield found
    finally:
        running.terminate()
        running.wait(30)
        for service in found.services:
            service.end()


def wait_until_open(port: int, running: subprocess.Popen[bytes]) -> None:
    for _ in range(200):
        assert running.poll() is None, "nginx ended"
        with socket.socket() as tried:
            if tried.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("nginx doesn't listen")


def test_predictions_and_the_page_go_through_nginx_and_the_metrics_dont(proxy: Proxy) -> None:
    status, answer = proxy.ask("/predict/tiny", gray_image(128))
    assert (status, b'"predictions"' in answer) == (200, True)
    assert proxy.ask("/")[0] == 200
    for path in ("/metrics", "/metrics/", "//metrics", "/%6detrics", "/a/../metrics", "/metrics?a=b"):
        assert proxy.ask(path)[0] == 403, path


def test_an_image_that_is_too_large_is_refused_by_the_service_which_names_the_limit(proxy: Proxy) -> None:
    status, answer = proxy.ask("/predict/tiny", bytes(11_000_000))
    assert (status, b"max_image_bytes" in answer) == (413, True), answer[:300]


def test_a_restart_fails_no_request_while_another_service_stands_in(proxy: Proxy) -> None:
    over = threading.Event()
    answers: list[tuple[int, bytes]] = []

    def post() -> None:
        while not over.is_set():
            answers.append(proxy.ask("/predict/tiny", gray_image(128)))

    def post_more() -> None:
        wanted = len(answers) + 100
        while len(answers) < wanted:
            assert all(client.is_alive() for client in clients)
            time.sleep(0.01)

    clients = [threading.Thread(target=post) for _ in range(4)]
    for client in clients:
        client.start()
    try:
        other = proxy.start_service(1)
        assert proxy.services[0].stop() == 0
        post_more()
        proxy.start_service(0)
        assert other.stop() == 0
        post_more()
    finally:
        over.set()
        for client in clients:
            client.join(60)
    assert {status for status, _ in answers} == {200}
