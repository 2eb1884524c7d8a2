"""The image as SageMaker and Vertex AI start it: their argument, variables, folder, addresses and bodies."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from deploy.ports import free_port
from deploy.smoke.engine import Failed, check, engine, need
from deploy.smoke.service import REPOSITORY, SERVE, classify, request

VERTEX = {
    "AIP_MODE": "PREDICTION",
    "AIP_HTTP_PORT": "7080",
    "AIP_HEALTH_ROUTE": "/v1/endpoints/1/deployedModels/2",
    "AIP_PREDICT_ROUTE": "/v1/endpoints/1/deployedModels/2:predict",
}


def check_platforms(zero: bytes) -> None:
    """`zero` is an encoded image of the digit 0. Needs the volume that compose filled."""
    _check_sagemaker(zero, {}, 8080)
    _check_sagemaker(zero, {"SAGEMAKER_BIND_TO_PORT": "9123"}, 9123)
    _check_vertex(zero)


def _check_sagemaker(zero: bytes, variables: dict[str, str], port: int) -> None:
    with _running(port, "/ping", "/opt/ml/model", variables, "serve") as here:
        best = classify(here, "/invocations", zero, "application/x-image")
    check(f"SageMaker's /invocations answers on {port}", best == "0", best)


def _check_vertex(zero: bytes) -> None:
    asked = json.dumps({"instances": [{"b64": base64.b64encode(zero).decode()}] * 2}).encode()
    health, predict = VERTEX["AIP_HEALTH_ROUTE"], VERTEX["AIP_PREDICT_ROUTE"]
    with _running(7080, health, "/repository", VERTEX) as here:
        status, body = request(here, "POST", predict, asked, "application/json")
        rows = json.loads(body)["predictions"] if status == 200 else []
    check("Vertex AI's route predicts each instance", [row.index(max(row)) for row in rows] == [0, 0], body)


@contextmanager
def _running(port: int, health: str, folder: str, variables: dict[str, str], *words: str) -> Iterator[int]:
    """A container of the serve image that listens at `port` inside, once `health` answers 200; gives the port here.
    Afterwards SIGTERM has to end it with status 0.
    """
    here = free_port()
    said = [word for name, value in variables.items() for word in ("--env", f"{name}={value}")]
    mounts = ("--read-only", "--tmpfs", "/tmp", "--volume", f"{REPOSITORY}:{folder}:ro")
    published = ("--publish", f"127.0.0.1:{here}:{port}")
    container = need(engine("run", "--detach", *mounts, *published, *said, SERVE, *words))
    try:
        _wait_until_ready(here, health, container)
        probe = engine("exec", container, "python", "-I", "/opt/healthcheck.py")
        check("the image's own health check asks the right port", probe.returncode == 0, probe.stdout)
        yield here
        need(engine("stop", "--time", "20", container))
        ended = need(engine("inspect", "--format", "{{.State.ExitCode}}", container))
        check("SIGTERM ends it with status 0", ended == "0", ended)
    finally:
        engine("rm", "--force", "--volumes", container)


def _wait_until_ready(port: int, path: str, container: str) -> None:
    status: int | str = "no answer"
    for _ in range(300):
        with suppress(OSError):
            status, _ = request(port, "GET", path)
        if status == 200:
            return
        time.sleep(0.2)
    raise Failed(f"GET {path}: {status} for a minute:\n{engine('logs', container).stdout[-2000:]}")
