"""What the Ray layer costs: the same model on one core, plain and under Ray Serve, in one run.

    python -m deploy.measure_ray --repository repository --model lenet5-digits
    python -m deploy.measure_ray --repository repository --model resnet50 --image photo.jpg --proxies haproxy own

Both services run at once and are loaded in turn, so that a noisy machine is equally noisy to both; with several proxies
one after the other, each beside a plain service. Prints requests a second and their ratio to the plain service's, the
median and 99th percentile, and the processor time that the servers spent on a request.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

import yaml

from deploy.load import Load
from deploy.ports import free_port

# What stands in front of the replicas: HAProxy, or Ray's own proxy.
PROXIES = {
    "haproxy": {"RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "1"},
    "own": {"RAY_SERVE_ENABLE_HA_PROXY": "0"},
}
# Processes that inherited this variable belong to a service: Ray's don't stay children of the one that was started.
MARK = "CONVSERVE_MEASURED_AS"
START_S = 180
TICK = os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repository", type=Path, default=Path("repository"), help="default: %(default)s")
    parser.add_argument("--model", default="lenet5-digits", help="default: %(default)s")
    parser.add_argument("--image", type=Path, help="default: one of the model's golden images")
    parser.add_argument("--proxies", choices=PROXIES, nargs="+", default=["haproxy"], help="default: haproxy")
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 8, 32], help="default: 1 8 32")
    parser.add_argument("--seconds", type=float, default=5, help="of each run (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="the table shows their medians (default: %(default)s)")
    given = parser.parse_args()
    golden = given.repository / given.model
    path = given.image or next(path for path in sorted(golden.glob("*/golden/*")) if path.suffix != ".npz")
    image = path.read_bytes()
    print(
        f"{given.model}, {len(image) / 1e3:,.1f} kB an image, one core a service, "
        f"{given.rounds} rounds of {given.seconds:g} s, medians"
    )
    print(f"{'connections':>11} {'':>7} {'req/s':>8} {'ratio':>6} {'p50 ms':>8} {'p99 ms':>8} {'CPU ms':>8}")
    for proxy in given.proxies:
        with plain(given.repository) as plain_port, under_ray(given.repository, given.model, proxy) as ray_port:
            for connections in given.connections:
                compare({"plain": plain_port, proxy: ray_port}, given, image, connections)


def compare(ports: dict[str, int], given: argparse.Namespace, image: bytes, connections: int) -> None:
    """Load the services by turns and print a line for each."""
    rows: dict[str, list[tuple[float, ...]]] = {name: [] for name in ports}
    for _ in range(given.rounds):
        for name, port in ports.items():
            rows[name].append(measure(name, port, given.model, image, connections, given.seconds))
    plain_rate = statistics.median(row[0] for row in rows["plain"])
    for name, measured in rows.items():
        rate, p50, p99, cpu = (statistics.median(column) for column in zip(*measured, strict=True))
        print(
            f"{connections:>11} {name:>7} {rate:>8,.1f} {rate / plain_rate:>6.2f} {p50:>8.2f} {p99:>8.2f} {cpu:>8.2f}",
            flush=True,
        )


def measure(name: str, port: int, model: str, image: bytes, connections: int, seconds: float) -> tuple[float, ...]:
    """Requests a second, p50 and p99 in ms, processor ms a request."""
    before = processor_seconds(name)
    answers = asyncio.run(Load(port, f"/predict/{model}", image, connections).run(seconds))
    spent = processor_seconds(name) - before
    if bad := [answer.status for answer in answers if answer.status != 200]:
        raise SystemExit(f"{name}: {len(bad)} of {len(answers)} requests failed: {set(bad)}")
    times = sorted((answer.ended - answer.began) * 1e3 for answer in answers)
    return len(times) / seconds, times[len(times) // 2], times[len(times) * 99 // 100], spent * 1e3 / len(times)


@contextmanager
def plain(repository: Path) -> Iterator[int]:
    port = free_port()
    flags = [f"--repository={repository}", f"--port={port}", "--workers=1", "--threads=1", "--decode-threads=1"]
    with service("plain", port, [sys.executable, "-m", "app", "serve", *flags]):
        yield port


def read_switches(proxy: str) -> dict[str, str]:
    """What `make cluster` sets, with one of PROXIES in front."""
    lines = Path(__file__).with_name("ray.env").read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line.startswith("RAY_")) | PROXIES[proxy]


@contextmanager
def under_ray(repository: Path, model: str, proxy: str) -> Iterator[int]:
    plan = yaml.safe_load((Path(__file__).parent / "cluster.yaml").read_text(encoding="utf-8"))
    port = plan["http_options"]["port"] = free_port()
    (application,) = plan["applications"]
    application["args"] |= {"repository": str(repository.absolute()), "models": [model]}
    (deployment,) = application["deployments"]
    deployment["autoscaling_config"]["max_replicas"] = 1
    ports = {f"RAY_SERVE_HAPROXY_{name}_PORT": str(free_port()) for name in ("METRICS", "STATS")}
    with tempfile.NamedTemporaryFile("w", suffix=".yaml", encoding="utf-8") as file:
        yaml.safe_dump(plan, file)
        file.flush()
        run = [str(Path(sys.executable).parent / "serve"), "run", file.name]
        with service(proxy, port, run, **(read_switches(proxy) | ports)):
            yield port


@contextmanager
def service(name: str, port: int, command: list[str], **environment: str) -> Iterator[None]:
    """A ready one. Raises SystemExit with the last line that it wrote where it doesn't become so."""
    with tempfile.NamedTemporaryFile() as log:
        process = subprocess.Popen(
            command, env={**os.environ, **environment, MARK: name}, stdout=log, stderr=log, start_new_session=True
        )
        try:
            if not wait_until_ready(process, port):
                said = Path(log.name).read_text(encoding="utf-8", errors="replace").split("\n")
                raise SystemExit(f"{name} isn't ready: {next((line for line in reversed(said) if line.strip()), '')}")
            yield
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(90)


def wait_until_ready(process: subprocess.Popen[bytes], port: int) -> bool:
    """Whether it was, before it ended or START_S were over."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            connection = HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/health/ready")
            if connection.getresponse().status == 200:
                return True
        except OSError:
            pass
        time.sleep(0.2)
    return False


def processor_seconds(name: str) -> float:
    """Time that all processes of a service have spent, user and system."""
    mark = f"{MARK}={name}\0".encode()
    total = 0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (process / "environ").read_bytes():
                fields = (process / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
                total += int(fields[11]) + int(fields[12])
        except OSError:
            continue  # it ended meanwhile
    return total / TICK


if __name__ == "__main__":
    main()
