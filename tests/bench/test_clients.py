"""Clients of other projects, each in an environment of its own, against a service as a user starts it."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.load.peers.environment import EnvironmentFailed, make_environment
from tests.makers.artifacts import LABELS, gray_image, make_artifact
from tests.makers.running_server import RunningServer
from tests.makers.sources import ROOT

REQUIREMENTS = {"kserve": "kserve==0.21.0", "mlflow": "mlflow==3.17.2", "mlserver": "mlserver==1.7.1"}
GRPC_PORT = r"grpcs?://127\.0\.0\.1:(\d+)"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    make_artifact(tmp_path / "repository")
    (tmp_path / "gray.png").write_bytes(gray_image(150))
    found = RunningServer("--repository", str(tmp_path / "repository"), "--poll-s", "0", "--grpc-port", "0")
    yield found
    found.end()


@pytest.mark.slow
@pytest.mark.timeout(900)  # an environment is made once
@pytest.mark.parametrize("client", REQUIREMENTS)
def test_clients_work_as_they_come(client: str, server: RunningServer, tmp_path: Path) -> None:
    try:
        programs = make_environment(ROOT / "build/clients" / client, [REQUIREMENTS[client]])
    except EnvironmentFailed as error:
        pytest.skip(f"{REQUIREMENTS[client]} can't be installed here: {error}")
    grpc_port = server.find(GRPC_PORT).group(1)
    addresses = [f"http://127.0.0.1:{server.port}", f"127.0.0.1:{grpc_port}"]
    script = ROOT / f"bench/clients/{client}_client.py"
    command = [programs / "python", script, *addresses, "tiny", tmp_path / "gray.png"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stderr
    answer = json.loads(ended.stdout.splitlines()[-1])
    assert all(answer["ready"])
    for row in answer["rows"].values():
        assert row.index(max(row)) == LABELS.index("gray")
        assert sum(row) == pytest.approx(1, abs=1e-5)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_clients_of_torchserve_put_files_by_curl(server: RunningServer, tmp_path: Path) -> None:
    address = f"http://127.0.0.1:{server.port}"
    ended = subprocess.run(
        ["curl", "-sf", f"{address}/predictions/tiny", "-T", tmp_path / "gray.png"], capture_output=True, check=True
    )
    assert next(iter(json.loads(ended.stdout))) == "gray"
