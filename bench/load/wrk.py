"""wrk as the load generator: one image posted over a number of connections, closed loop, every answer checked."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from bench.load.shot import Shot

SCRIPT = Path(__file__).with_name("load.lua")
MARK = "wrk-result "
# Seconds that an answer may take: with 64 connections to a slow network most of that is waiting.
TIMEOUT_S = 120
# The answers of the first 0.5 seconds don't count for the rate, nor, of a slow server, those of the first one and a
# half turns through all connections: a server that answers in bursts mustn't be in the midst of one.
_SETTLE_S, _SETTLE_TURNS = 0.5, 1.5


@dataclass(frozen=True)
class Result:
    """One run of `seconds` seconds. `rate` is right answers per second after settling, `generator_s` the CPU seconds
    that the load generator took.
    """

    answers: int
    seconds: float
    rate: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    wrong: int
    lost: int
    sample: str
    generator_s: float = 0.0


class WrkFailed(Exception):
    """wrk ended without a result."""


def require_wrk() -> None:
    """Raises SystemExit with what to do where wrk isn't installed."""
    if shutil.which("wrk") is None:
        raise SystemExit("bench.load needs the load generator wrk: on Debian and Ubuntu, apt-get install wrk")


def run_wrk(shot: Shot, port: int, connections: int, seconds: int, turn_s: float = 0.0) -> Result:
    """Post `shot` over `connections` for `seconds`; a turn through all of them takes about `turn_s`.

    Raises WrkFailed.
    """
    settle = min(max(_SETTLE_S, _SETTLE_TURNS * turn_s), seconds / 3)
    before = _children_s()
    done = subprocess.run(command(shot, port, connections, seconds, settle), capture_output=True, text=True)
    if done.returncode != 0:
        raise WrkFailed(f"wrk ended with status {done.returncode}: {(done.stdout + done.stderr).strip()}")
    return parse(done.stdout, _children_s() - before)


def command(shot: Shot, port: int, connections: int, seconds: int, settle: float) -> list[str]:
    return [
        "wrk",
        # One is enough on few cores: with two, servers at 32 and 64 connections were no faster, rather slower.
        "--threads=1",
        f"--connections={connections}",
        f"--duration={seconds}s",
        f"--timeout={TIMEOUT_S}s",
        f"--script={SCRIPT}",
        f"http://127.0.0.1:{port}{shot.path}",
        "--",
        str(shot.body_file),
        shot.content_type,
        shot.expected,
        f"{settle:.3f}",
        *(word for header in shot.headers for word in header),
    ]


def parse(output: str, generator_s: float = 0.0) -> Result:
    """The result in wrk's output. Raises WrkFailed where it has none."""
    for line in output.splitlines():
        if line.startswith(MARK):
            return Result(**json.loads(line.removeprefix(MARK)), generator_s=generator_s)
    raise WrkFailed(f"no result in the output of wrk: {output.strip()[:400]}")


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
