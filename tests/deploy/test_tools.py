"""The small programs of the deployment, where no engine and no network is needed."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from deploy.audit import report
from deploy.measure_ray import PROXIES, read_switches, service
from tests.makers.sources import ROOT


def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *words]
    return subprocess.run(command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True)


@pytest.fixture
def answer_with() -> Iterator:
    """Starts a server on a free port that answers every GET with one status."""
    servers: list[HTTPServer] = []

    def start(status: int) -> int:
        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status if self.path == "/health/ready" else 404)
                self.end_headers()
                self.wfile.write(b"models are loading")

            def log_message(self, *_: object) -> None: ...

        server = HTTPServer(("127.0.0.1", 0), Answer)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server.server_port

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(("status", "expected"), [(200, 0), (503, 1)])
def test_the_health_check_follows_readiness(answer_with: object, status: int, expected: int) -> None:
    result = run("deploy/healthcheck.py", CONVSERVE_PORT=str(answer_with(status)))
    assert result.returncode == expected
    assert "models are loading" in result.stdout


def test_the_health_check_says_that_nothing_answers() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        result = run("deploy/healthcheck.py", CONVSERVE_PORT=str(closed.getsockname()[1]))
    assert result.returncode == 1
    assert "nothing answers" in result.stdout


@pytest.mark.parametrize("words", [("deploy.smoke",), ("deploy.image_sizes", "convserve:cpu")], ids=lambda w: w[0])
def test_without_an_engine_there_is_one_line(words: tuple[str, ...]) -> None:
    result = run("-m", *words, DOCKER="no-such-engine")
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1
    assert "no-such-engine" in result.stderr


def test_a_vulnerability_fails_the_audit(capsys: pytest.CaptureFixture[str]) -> None:
    problem = {"id": "CVE-1", "fix_versions": ["2.0"]}
    assert (
        report([{"name": "a", "version": "1.0", "vulns": [problem]}, {"name": "b", "version": "1", "vulns": []}]) == 1
    )
    assert "a 1.0: CVE-1, fixed in 2.0" in capsys.readouterr().out


def test_packages_that_could_not_be_asked_about_are_no_clean_result(capsys: pytest.CaptureFixture[str]) -> None:
    assert report([{"name": "a", "version": "1.0", "vulns": []}, {"name": "b", "skip_reason": "not found"}]) == 3
    assert "1 of 2 packages audited" in capsys.readouterr().out


def test_nothing_known_is_a_clean_result() -> None:
    assert report([{"name": "a", "version": "1.0", "vulns": []}]) == 0


def test_what_is_measured_of_ray_is_what_make_cluster_starts() -> None:
    made = subprocess.run(["make", "-n", "cluster"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    (said,) = [line for line in made.splitlines() if "serve run" in line]
    assert all(f"{name}={value} " in said for name, value in read_switches("haproxy").items())
    assert [read_switches(proxy)["RAY_SERVE_ENABLE_HA_PROXY"] for proxy in PROXIES] == ["1", "0"]


def test_a_service_that_ends_before_it_is_measured_says_why() -> None:
    command = [sys.executable, "-c", "raise SystemExit('no repository\\n')"]
    with pytest.raises(SystemExit, match="plain isn't ready: no repository"), service("plain", 1, command):
        pass
