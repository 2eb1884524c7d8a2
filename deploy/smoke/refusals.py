"""Starts that must fail: each must end with one clear line instead of a traceback or a hang."""

from __future__ import annotations

import socket
import subprocess
import time

from deploy.smoke.engine import PROJECT, Failed, check, compose, engine, need
from deploy.smoke.service import EXPORT, REPOSITORY, SERVE

CUDA = ("serve", "--device", "cuda")


def check_refusals() -> None:
    _check_port_taken()
    _check_empty_repository()
    _check_unwritable_volume()
    _check_cuda_without_gpu()


def _check_port_taken() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = compose("up", "--detach", PORT=str(port))
    said = [line for line in result.stdout.splitlines() if str(port) in line and "use" in line]
    check("a taken port is named", result.returncode != 0 and bool(said), result.stdout[-500:])
    need(compose("rm", "--force", "--stop", "serve"))


def _check_empty_repository() -> None:
    container = need(engine("run", "--detach", "--read-only", "--tmpfs", "/tmp", "--tmpfs", "/repository", SERVE))
    try:
        for _ in range(100):
            health = engine("exec", container, "python", "-I", "/opt/healthcheck.py")
            if "repository" in health.stdout:
                break
            time.sleep(0.1)
        check("an empty repository is not ready", health.returncode == 1, health.stdout)
        check("and says so", "no model of the repository /repository" in health.stdout, health.stdout)
        log = need(engine("logs", container))
        check("its log holds no traceback", "Traceback" not in log, log)
    finally:
        engine("rm", "--force", "--volumes", container)


def _check_unwritable_volume() -> None:
    name = f"{PROJECT}-unwritable"
    need(engine("volume", "create", name))
    try:
        result = engine("run", "--rm", "--network", "none", "--volume", f"{name}:/repository:ro", EXPORT)
        last = result.stdout.strip().splitlines()[-1]
        check(
            "a read-only volume is refused in one line",
            result.returncode == 1 and "/repository: " in last,
            result.stdout,
        )
        check("without a traceback", "Traceback" not in result.stdout)
    finally:
        engine("volume", "rm", "--force", name)


def _check_cuda_without_gpu() -> None:
    # The volume that compose filled: a model is there, the GPU isn't.
    container = need(engine("run", "--detach", "--volume", f"{REPOSITORY}:/repository:ro", SERVE, *CUDA))
    try:
        status = need(engine("wait", container, timeout=60))
        log = need(engine("logs", container))
    except subprocess.TimeoutExpired as error:
        raise Failed("device=cuda without a GPU ends the service: it still runs after 60 s") from error
    finally:
        engine("rm", "--force", "--volumes", container)
    check("device=cuda without a GPU ends the service", status not in ("0", "137"), status)
    check("with one line that says what is missing", "CUDA" in log and len(log.splitlines()) == 1, log)
