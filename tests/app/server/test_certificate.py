"""https by files: what is wrong with them is one line that names the file, and both ways of serving answer by it."""

import json
import os
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from app.server.certificate import check_certificate
from tests.makers.artifacts import gray_image
from tests.makers.running_server import run_serve
from tests.makers.sources import ROOT

# Of 127.0.0.1 and localhost, until 2126.
TLS = ROOT / "tests/fixtures/tls"
CERTIFICATE, KEY = TLS / "certificate.pem", TLS / "key.pem"


def test_a_certificate_and_its_key_are_taken_apart_or_in_one_file(tmp_path: Path) -> None:
    check_certificate(None, None)
    check_certificate(CERTIFICATE, KEY)
    (tmp_path / "both.pem").write_bytes(CERTIFICATE.read_bytes() + KEY.read_bytes())
    check_certificate(tmp_path / "both.pem", None)


@pytest.mark.parametrize(
    ("certificate", "key", "words"),
    [
        (None, KEY, "ssl_certfile is empty"),
        (Path("/none.pem"), KEY, "ssl_certfile /none.pem can't be read: No such file"),
        (CERTIFICATE, Path("/none.pem"), "ssl_keyfile /none.pem can't be read: No such file"),
        (KEY, KEY, "has no certificate"),
        (CERTIFICATE, None, "has no unencrypted key"),
        (CERTIFICATE, CERTIFICATE, "has no unencrypted key"),
        (CERTIFICATE, TLS / "locked_key.pem", "has no unencrypted key in PEM form"),
        (CERTIFICATE, TLS / "other_key.pem", "has a key that does not belong"),
    ],
)
def test_a_file_at_fault_is_named(certificate: Path | None, key: Path | None, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        check_certificate(certificate, key)


def test_a_server_does_not_start_with_a_bad_certificate(repository: Path) -> None:
    ended = run_serve("--repository", str(repository), "--port", "0", "--ssl-certfile", "/none.pem")
    assert ended.returncode == 2
    assert ended.stderr == "convserve serve: ssl_certfile /none.pem can't be read: No such file or directory\n"


@pytest.mark.parametrize("workers", ["1", "2"])
def test_https_is_served_and_the_health_check_finds_it(start_server: Callable, workers: str) -> None:
    server = start_server("--ssl-certfile", str(CERTIFICATE), "--ssl-keyfile", str(KEY), "--workers", workers)
    trusted = ssl.create_default_context(cafile=str(CERTIFICATE))
    for headers in ({}, {"Origin": "https://example.org"}):  # the fast path, the general one
        request = urllib.request.Request(
            f"https://127.0.0.1:{server.port}/predict/tiny", gray_image(255), {"Content-Type": "image/png", **headers}
        )
        with urllib.request.urlopen(request, timeout=30, context=trusted) as response:
            assert json.loads(response.read())["predictions"][0]["classes"][0]["label"] == "white"
    check = subprocess.run(
        [sys.executable, "-I", ROOT / "deploy/healthcheck.py"],
        env={**os.environ, "CONVSERVE_PORT": str(server.port)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert check.returncode == 0, check.stdout
    assert server.stop() == 0
