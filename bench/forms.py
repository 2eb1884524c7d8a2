"""python -m bench.forms: what one request costs the server in each form that images come in, in microseconds of CPU.

Each form goes to `convserve serve` with one worker, where a whole image and a form with one file take the fast path,
and to create_app under uvicorn as it comes, where every request goes by the framework. Beside them stands what a plain
FastAPI route takes that reads the body of the first form and always answers the same. Every answer is checked; other
load on the machine changes all figures, so only the ratios of one run mean something.
"""

from __future__ import annotations

import argparse
import base64
import json
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.client.terminal import end_like_ctrl_c
from artifact.images.formats import MEDIA_TYPES
from bench.load import constant_app, plain_app
from bench.load.__main__ import describe_machine
from bench.load.launches import ROOT, choose_image
from bench.load.models import MODELS, publish, repository_of
from bench.load.servers import Launch, Server, our_command
from bench.load.shot import BOUNDARY, Shot, as_multipart
from bench.load.wrk import require_wrk, run_wrk
from export.progress import say

PLAIN, OURS, STOCK = "plain FastAPI route", "convserve serve", "create_app under uvicorn"
# What the plain route may cost a raw image, times, under uvicorn as it comes.
BOUND = 3.5

Body = tuple[bytes, dict[str, str]]


@dataclass(frozen=True)
class Form:
    """How images come: the address, and what `make` makes of one file and its type: a body and its headers."""

    path: str
    make: Callable[[bytes, str], Body]
    expected: str
    """Text that each right answer has; {label} is the right class as JSON."""


def as_files(count: int) -> Callable[[bytes, str], Body]:
    """A function that makes a form of an image and its media type, with the same file `count` times."""

    def make(image: bytes, kind: str) -> Body:
        one, content_type = as_multipart(image, kind)
        end = f"--{BOUNDARY}--\r\n".encode()
        return one.removesuffix(end) * count + end, {"Content-Type": content_type}

    return make


def as_json(shape: Callable[[str], object]) -> Callable[[bytes, str], Body]:
    """JSON, of the file's base64."""

    def make(image: bytes, _: str) -> Body:
        return json.dumps(shape(base64.b64encode(image).decode())).encode(), {"Content-Type": "application/json"}

    return make


def as_binary(image: bytes, _: str) -> Body:
    """JSON of the v2 protocol with the file behind it."""
    data = len(image).to_bytes(4, "little") + image
    head = json.dumps({"inputs": [{**_TENSOR, "parameters": {"binary_data_size": len(data)}}]}).encode()
    kind = {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(len(head))}
    return head + data, kind


_TENSOR = {"name": "image", "datatype": "BYTES", "shape": [1]}
_PREDICT, _FIRST = "/predict/{model}", '[{{"label":{label}'
_OUTPUT = '"outputs":[{{"name":"probabilities","datatype":"FP32","shape":[1,'
FORMS: dict[str, Form] = {
    "the image itself": Form(_PREDICT, lambda image, kind: (image, {"Content-Type": kind}), _FIRST),
    "a form with one file": Form(_PREDICT, as_files(1), _FIRST),
    "a form with eight files": Form(_PREDICT, as_files(8), _FIRST),
    "JSON": Form(_PREDICT, as_json(lambda text: {"images": [text]}), _FIRST),
    "v1": Form(
        "/v1/models/{model}:predict", as_json(lambda text: {"instances": [{"b64": text}]}), '{{"predictions":[['
    ),
    "v2, JSON": Form(
        "/v2/models/{model}/infer",
        as_json(lambda text: {"inputs": [{**_TENSOR, "data": [text]}]}),
        _OUTPUT,
    ),
    "v2, binary": Form("/v2/models/{model}/infer", as_binary, _OUTPUT),
}
RAW = next(iter(FORMS))


def make_shots(model: str, image: Path, label: str, folder: Path) -> dict[str, Shot]:
    """One request of each form; their bodies are written into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    shots = {}
    for place, (name, form) in enumerate(FORMS.items()):
        body, headers = form.make(image.read_bytes(), MEDIA_TYPES[image.suffix])
        file = folder / f"body-{place}"
        file.write_bytes(body)
        shots[name] = Shot(
            form.path.format(model=model),
            file.resolve(),
            headers.pop("Content-Type"),
            form.expected.format(label=json.dumps(label)),
            tuple(headers.items()),
        )
    return shots


def make_launches(model: str, shot: Shot, label: str, folder: Path) -> list[Launch]:
    """How the three servers are started; `folder` is where `publish` has put the model."""
    repository, work = repository_of(model, folder), folder / "work" / "forms"
    uvicorn = [sys.executable, "-m", "uvicorn", "--no-access-log", "--log-level", "warning"]

    def serve(port: int) -> list[str]:
        return [*our_command(repository)(port), "--workers", "1"]

    def stock(port: int) -> list[str]:
        return [*uvicorn, "--port", str(port), "--factory", "app.main:create_app"]

    def plain(port: int) -> list[str]:
        return [*uvicorn, "--port", str(port), f"{plain_app.__name__}:app"]

    def settings(port: int) -> dict[str, str]:
        return {"CONVSERVE_REPOSITORY": str(repository)}

    return [
        Launch(PLAIN, plain, shot, constant_app.LABEL, "", work, cwd=ROOT),
        Launch(OURS, serve, shot, label, "", work, cwd=ROOT, ready_path="/health/ready"),
        Launch(STOCK, stock, shot, label, "", work, variables=settings, cwd=ROOT, ready_path="/health/ready"),
    ]


@contextmanager
def start_servers(launches: Sequence[Launch]) -> Iterator[dict[str, Server]]:
    """All of them, stopped (SIGSTOP) but for the one that is measured. Raises StartFailed."""
    with ExitStack() as stack:
        servers = {}
        for launch in launches:
            servers[launch.name] = server = Server(launch)
            stack.callback(server.stop)
            server.wait_until_idle()
            server.freeze()
        yield servers


def measure(server: Server, shot: Shot, connections: int, seconds: int) -> float:
    """Microseconds of the server's CPU a request. Raises SystemExit where an answer was wrong or lost."""
    server.thaw()
    server.wait_until_idle()
    before = server.cpu_seconds()
    found = run_wrk(shot, server.port, connections, seconds)
    server.wait_until_idle()
    used = server.cpu_seconds() - before
    server.freeze()
    if found.wrong or found.lost or not found.answers:
        raise SystemExit(f"{server.launch.name}, {shot.path}: {found.wrong} wrong, {found.lost} lost: {found.sample}")
    return used / found.answers * 1e6


def write_table(plain_us: float, found: dict[str, dict[str, float]]) -> str:
    """A Markdown table: a line a form, for each server the microseconds and what that is in plain routes."""
    servers = list(next(iter(found.values())))
    lines = [
        f"| us of CPU a request (times the plain route's) | {' | '.join(servers)} |",
        "|---|" + "---:|" * len(servers),
    ]
    for form, costs in found.items():
        cells = [f"{us:.0f} ({us / plain_us:.2f})" for us in costs.values()]
        lines.append(f"| {form} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", f"{PLAIN}: {plain_us:.0f} us"])


def judge(plain_us: float, found: dict[str, dict[str, float]]) -> tuple[bool, str]:
    """Whether a raw image by create_app stays within the bound, and that in words."""
    times = found[RAW][STOCK] / plain_us
    held = times <= BOUND
    return held, f"{'ok    ' if held else 'FAILED'} {RAW}, {STOCK}: {times:.2f} plain routes, at most {BOUND}"


@end_like_ctrl_c()
def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connections", type=int, default=8, help="default: %(default)s")
    parser.add_argument("--seconds", type=int, default=2, help="of each measured run (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="the table shows their medians (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("build/bench"), help="as of bench.load (default: %(default)s)")
    given = parser.parse_args(arguments)
    require_wrk()
    folder = given.out.resolve()
    model = MODELS["lenet5"]
    published = publish(model, folder)
    image, label = choose_image(published, model.images(folder / "images"))
    shots = make_shots(model.name, image, label, folder / "work" / "forms")
    print(f"{describe_machine()}; {given.connections} connections", flush=True)
    plain: list[float] = []
    taken: dict[str, dict[str, list[float]]] = {form: {OURS: [], STOCK: []} for form in FORMS}
    with start_servers(make_launches(model.name, shots[RAW], label, folder)) as servers:
        for number in range(given.rounds):
            constant = servers[PLAIN]
            plain.append(measure(constant, constant.shot, given.connections, given.seconds))
            for form, costs in taken.items():
                for name, measured in costs.items():
                    measured.append(measure(servers[name], shots[form], given.connections, given.seconds))
            say(f"round {number + 1} of {given.rounds}")
    plain_us = statistics.median(plain)
    found = {form: {name: statistics.median(us) for name, us in costs.items()} for form, costs in taken.items()}
    held, words = judge(plain_us, found)
    print(f"\n{write_table(plain_us, found)}\n\n{words}")
    return 0 if held else 1


if __name__ == "__main__":
    raise SystemExit(main())
