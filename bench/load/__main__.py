"""python -m bench.load --peers all: the service and other model servers under the same load, by turns, in one run.

Every server runs the same model.onnx on this machine's CPU and gets the same image from wrk, which checks every answer.
Beside them stands what this process does without any server. Printed: a table a model, and which bounds were held;
written into --out: everything as JSON, and a plot a model. Only the ratios of one run mean something.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import time
from dataclasses import asdict
from importlib.metadata import version
from math import inf
from pathlib import Path

from app.client.terminal import end_like_ctrl_c
from app.machine import count_cores
from bench.load import limit
from bench.load.bounds import judge, write_bounds
from bench.load.contest import Plan, compete
from bench.load.images import large_photos
from bench.load.measurements import ModelResult
from bench.load.models import MODELS, LoadModel, publish
from bench.load.peers import PEERS
from bench.load.plot import draw
from bench.load.table import write_cost_of_content, write_model
from bench.load.wrk import require_wrk
from export.progress import format_seconds, say

DEFAULT_MODELS = "lenet5,lenet5-content,resnet18,resnet50,resnet50-int8,mobilenet"
_GROUPS = {
    "none": (),
    "default": tuple(name for name, peer in PEERS.items() if not peer.tuned),
    "tuned": tuple(name for name, peer in PEERS.items() if peer.tuned),
    "all": tuple(PEERS),
}
PACKAGES = ("convserve", "onnxruntime", "numpy", "pillow", "uvicorn", "fastapi")


@end_like_ctrl_c()
def main() -> int:
    given = parse_arguments()
    require_wrk()
    began = time.monotonic()
    models = [model for name in given.models if (model := _choose(name)) is not None]
    clock = _Clock(sum(_count_runs(model, given) for model in models))
    folder = given.out.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    plan = Plan(given.connections, given.rates, given.seconds, given.rounds, folder, clock.advance)
    print(describe_machine(), flush=True)
    results: list[ModelResult] = []
    for model in models:
        try:
            published = publish(model, folder)
        except subprocess.CalledProcessError as error:
            say(f"{model.name} is left out: the export stage ended with status {error.returncode}")
            clock.skip(_count_runs(model, given))
            continue
        result = compete(model, published, _peers_of(model, given), plan)
        if published.card.image.reduced_decode:
            photos = large_photos(folder / "images")
            result.changed = limit.count_changed(published, [path.read_bytes() for path in photos])
        results.append(result)
        draw(result, folder / f"{model.name}.svg")
        print(f"\n{write_model(result)}", flush=True)
    found = {result.model: result for result in results}
    if {"lenet5", "lenet5-content"} <= found.keys():
        print(f"\n{write_cost_of_content(found['lenet5'], found['lenet5-content'])}")
    bounds = judge(results, has_avx512=_has_avx512())
    everything = {
        "machine": describe_machine(),
        "seconds": given.seconds,
        "rounds": given.rounds,
        "models": [asdict(result, dict_factory=_without_infinity) for result in results],
        "bounds": [asdict(bound) for bound in bounds],
    }
    (folder / "load.json").write_text(json.dumps(everything, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    print(f"\n{write_bounds(bounds)}")
    say(f"wrote {folder}/load.json and a plot a model; {format_seconds(time.monotonic() - began)} in all")
    return 0 if results and all(bound.held for bound in bounds) else 1


def _without_infinity(fields: list[tuple[str, object]]) -> dict[str, object]:
    """JSON has none: the p99 of a server that failed more than one of a hundred is null."""
    return {name: None if value == inf else value for name, value in fields}


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default=DEFAULT_MODELS, help="default: %(default)s")
    parser.add_argument(
        "--peers", default="none", help=f"{', '.join(_GROUPS)}, or some of {','.join(PEERS)} (default: none)"
    )
    parser.add_argument("--connections", default="1,8,32,64", help="of the closed loop (default: %(default)s)")
    parser.add_argument("--rates", default="", help="requests/s of an open loop besides, such as 200,1000")
    parser.add_argument("--seconds", type=int, default=5, help="of each measured run (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=2, help="the table shows their medians (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("build/bench"), help="default: %(default)s")
    given = parser.parse_args(arguments)
    given.models = _split(parser, "--models", given.models, list(MODELS))
    given.peers = _split(parser, "--peers", ",".join(_GROUPS.get(given.peers, (given.peers,))), list(PEERS))
    try:
        given.connections = tuple(map(int, given.connections.split(",")))
        given.rates = tuple(rate for word in given.rates.split(",") if word and (rate := float(word)))
    except ValueError as error:
        parser.error(f"--connections and --rates take numbers with commas between them: {error}")
    if given.seconds < 1 or given.rounds < 1 or min(given.connections) < 1:
        parser.error("--seconds, --rounds and --connections are at least 1")
    return given


def _split(parser: argparse.ArgumentParser, option: str, words: str, known: list[str]) -> list[str]:
    names = [word for word in words.split(",") if word]
    for name in names:
        if name not in known:
            parser.error(f"{option}: there is no {name!r}; there are {', '.join(known)}")
    return names


def _choose(name: str) -> LoadModel | None:
    missing = [variable for variable in MODELS[name].needs if not os.environ.get(variable)]
    if missing:
        say(f"{name} is left out: {' and '.join(missing)} isn't set")
        return None
    return MODELS[name]


def _peers_of(model: LoadModel, given: argparse.Namespace) -> list[str]:
    return [name for name in given.peers if model.peers is None or name in model.peers]


def _count_runs(model: LoadModel, given: argparse.Namespace) -> int:
    """How often the clock advances for a model: the limit, and each server at each load, in each round."""
    servers = 1 + len(_peers_of(model, given))
    return int(given.rounds * (1 + servers * (len(given.connections) + len(given.rates))))


class _Clock:
    """Says how far the whole is and how long the rest takes, a line a run."""

    def __init__(self, runs: int) -> None:
        self._runs, self._done, self._began = runs, 0, time.monotonic()

    def advance(self, what: str) -> None:
        self._done += 1
        left = (time.monotonic() - self._began) / self._done * max(0, self._runs - self._done)
        say(f"  [{self._done}/{self._runs}] {what}; {format_seconds(left)} left")

    def skip(self, runs: int) -> None:
        self._runs -= runs


def describe_machine() -> str:
    """Processor, cores, and the versions of what serves."""
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return f"{_processor()}, {count_cores()} cores, Python {platform.python_version()}, {packages}"


def _processor() -> str:
    name = _read_cpuinfo("model name") or platform.processor() or platform.machine()
    return f"{name} ({'AVX512' if _has_avx512() else 'no AVX512'})"


def _has_avx512() -> bool:
    return "avx512f" in _read_cpuinfo("flags").split()


def _read_cpuinfo(field: str) -> str:
    """What the system says of the first core; empty where it doesn't."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.partition(":")[0].strip() == field), "")


if __name__ == "__main__":
    raise SystemExit(main())
