"""Clients of other projects, each in an environment of its own, against a service as a user starts it."""

import json
import os
import re
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


# The last release whose wheel holds perf_analyzer, for which it wants CUDA's runtime and libb64 (Debian's libb64-0d).
TRITON = ["tritonclient[all]==2.41.1", "attrdict", "nvidia-cuda-runtime-cu12", "pillow"]


@pytest.fixture
def triton() -> Path:
    """The programs of an environment with Triton's client."""
    try:
        return make_environment(ROOT / "build/clients/triton", TRITON)
    except EnvironmentFailed as error:
        pytest.skip(f"{TRITON[0]} can't be installed here: {error}")


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_clients_of_triton_measure_by_perf_analyzer(protocol: str, triton: Path, server: RunningServer) -> None:
    cuda = next(triton.parent.glob("lib/*/site-packages/nvidia/cuda_runtime/lib"))
    libraries = f"{cuda}:{os.environ.get('LD_LIBRARY_PATH', '')}"
    port = server.port if protocol == "http" else server.find(GRPC_PORT).group(1)
    words = ["-m", "tiny", "-i", protocol, "-u", f"127.0.0.1:{port}", "-p", "500", "-s", "50", "-r", "20"]
    command, environment = [triton / "perf_analyzer", *words], {**os.environ, "LD_LIBRARY_PATH": libraries}
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, env=environment)
    if "error while loading shared libraries" in ended.stderr:
        pytest.skip(ended.stderr.strip())
    assert ended.returncode == 0, ended.stdout + ended.stderr
    client, served = re.findall(r"(?:Request|Successful request) count: (\d+)", ended.stdout)
    assert int(client) > 0
    assert int(served) == pytest.approx(int(client), rel=0.05)  # a request under way may count on one side only


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif("TRITON_EXAMPLES" not in os.environ, reason="TRITON_EXAMPLES names no folder with image_client.py")
@pytest.mark.parametrize(
    "words", [[], ["-b", "3"], ["-i", "gRPC", "-b", "3"], ["-i", "gRPC", "--streaming", "--async"]]
)
def test_clients_of_triton_send_images_by_its_example(
    words: list[str], triton: Path, server: RunningServer, tmp_path: Path
) -> None:
    port = server.find(GRPC_PORT).group(1) if "gRPC" in words else server.port
    script = Path(os.environ["TRITON_EXAMPLES"]) / "image_client.py"
    command = [triton / "python", script, "-m", "tiny", "-u", f"127.0.0.1:{port}", *words, tmp_path / "gray.png"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count(") = gray") == (3 if "-b" in words else 1), ended.stdout
    assert ended.stdout.endswith("PASS\n")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_clients_of_torchserve_put_files_by_curl(server: RunningServer, tmp_path: Path) -> None:
    address = f"http://127.0.0.1:{server.port}"
    ended = subprocess.run(
        ["curl", "-sf", f"{address}/predictions/tiny", "-T", tmp_path / "gray.png"], capture_output=True, check=True
    )
    assert next(iter(json.loads(ended.stdout))) == "gray"
