"""Checks of the running service: start, a digit's answer, the container's limits, a second start, a clean stop."""

from __future__ import annotations

import base64
import http.client
import json
import time

from deploy.smoke.engine import PROJECT, check, compose, engine, need, say

MODEL = "lenet5-digits"
SERVE, EXPORT = "convserve:cpu", "convserve-export"
REPOSITORY = f"{PROJECT}_repository"
"""The volume that compose fills."""

# A ring, as one writes a zero; drawn by the image's own Pillow, so that this machine needs none.
DRAW = """
import base64, io
from PIL import Image, ImageDraw
image = Image.new("L", (120, 160), "white")
ImageDraw.Draw(image).ellipse((25, 20, 95, 140), outline="black", width=16)
buffer = io.BytesIO()
image.save(buffer, "PNG")
print(base64.b64encode(buffer.getvalue()).decode())
"""


def check_service(port: int, zero: bytes) -> None:
    """Everything that `docker compose up` promises, `zero` being an image of that digit; leaves the service stopped."""
    need(compose("up", "--detach", "--wait", PORT=str(port)))
    say("docker compose up --wait returned")
    container = need(compose("ps", "--quiet", "serve"))
    check("the service is healthy when up returns", _state(container, ".State.Health.Status") == "healthy")
    best = classify(port, f"/predict/{MODEL}", zero)
    check("a drawn zero is a 0", best == "0", best)
    _check_walls(container)
    _check_second_up(port)
    began = time.monotonic()
    need(compose("stop", "serve"))
    check("SIGTERM ends the service with status 0", _state(container, ".State.ExitCode") == "0")
    check("it stops within its grace period", time.monotonic() - began < 40)


def request(
    port: int, method: str, path: str, body: bytes | None = None, media_type: str = "image/png"
) -> tuple[int, bytes]:
    """Status and body of what a container answers. Raises OSError where it doesn't."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, body, {} if body is None else {"Content-Type": media_type})
        response = connection.getresponse()
        return response.status, response.read()
    except http.client.HTTPException as error:  # cut off, as a port whose container still starts does
        raise ConnectionError(str(error)) from error
    finally:
        connection.close()


def classify(port: int, path: str, image: bytes, media_type: str = "image/png") -> str:
    """The best label of an image, or what was answered instead."""
    status, body = request(port, "POST", path, image, media_type)
    if status != 200:
        return f"{status} {body[:500]!r}"
    label: str = json.loads(body)["predictions"][0]["classes"][0]["label"]
    return label


def draw_zero() -> bytes:
    """A PNG of the digit."""
    return base64.b64decode(need(engine("run", "--rm", "--entrypoint", "python", SERVE, "-c", DRAW)))


def _check_walls(container: str) -> None:
    def inside(script: str) -> tuple[int, str]:
        result = engine("exec", container, "sh", "-c", script)
        return result.returncode, result.stdout.strip()

    check("it runs as user 10001", inside("id -u")[1] == "10001")
    processes = inside("cat /proc/[0-9]*/status | awk '/^Uid:/ {print $2}' | sort -u")[1]
    check("no process inside belongs to root", processes == "10001", processes)
    check("the root file system is read-only", inside("touch /x")[0] != 0)
    check("the repository is read-only", inside("touch /repository/x")[0] != 0)
    check("/tmp is writable", inside("touch /tmp/x")[0] == 0)
    capabilities = inside("grep CapEff /proc/self/status")[1].split()[-1]
    check("it has no capability", int(capabilities, 16) == 0, capabilities)
    check("it can gain no privilege", inside("grep NoNewPrivs /proc/self/status")[1].split()[-1] == "1")
    check("there is no compiler", inside("command -v gcc cc g++ clang")[1] == "")
    check("there is no TensorFlow", inside("python -c 'import tensorflow'")[0] != 0)
    check("there is no pip in the environment", inside("python -m pip --version")[0] != 0)


def _check_second_up(port: int) -> None:
    began = time.monotonic()
    need(compose("up", "--detach", PORT=str(port)))
    last = need(compose("logs", "--no-log-prefix", "export")).splitlines()[-1]
    check("a second up exports nothing", f"already has {MODEL}" in last, last)
    say(f"the second up took {time.monotonic() - began:.1f} s")


def _state(container: str, field: str) -> str:
    return need(engine("inspect", "--format", f"{{{{{field}}}}}", container))
