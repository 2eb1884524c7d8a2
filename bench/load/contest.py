"""One model: every server is started once, and in each round each is loaded by turns while the others are frozen."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from math import ceil
from pathlib import Path

from app.client.load.open_loop import run_open_loop
from app.machine import count_cores
from bench.load import constant_app, limit
from bench.load.launches import ROOT, choose_image, our_launch, peer_launch
from bench.load.measurements import ModelResult, OpenSample, Sample, ServerFacts
from bench.load.models import LoadModel, Published
from bench.load.peers.environment import EnvironmentFailed
from bench.load.servers import Launch, Server, StartFailed
from bench.load.shot import Shot
from bench.load.wrk import Result, WrkFailed, run_wrk

# Seconds of load before each measured run, not counted.
WARM_UP_S = 1
# A run lasts until every connection has had about TURNS requests, but at most LONGEST times the seconds asked for.
TURNS, LONGEST = 6, 4
# Connections and seconds of the load on a raw ASGI app that answers a constant.
CONSTANT_CONNECTIONS, CONSTANT_S = 32, 1


@dataclass(frozen=True)
class Plan:
    """How long and how hard; `advance` is called after every run, with what it was."""

    connections: tuple[int, ...]
    rates: tuple[float, ...]
    seconds: int
    rounds: int
    folder: Path
    """Where repositories, images, environments and logs are kept."""
    advance: Callable[[str], None]


def compete(model: LoadModel, published: Published, peers: list[str], plan: Plan) -> ModelResult:
    """Measure the service and `peers` with one model. A peer that can't be had is named in `failures`."""
    image, label = choose_image(published, model.images(plan.folder / "images"))
    result = ModelResult(model.name, model.title)
    launches = [our_launch(model, image, label, plan.folder)]
    for name in peers:
        try:
            launches.append(peer_launch(name, published, image, label, plan.folder))
        except EnvironmentFailed as error:
            _fail(result, name, f"can't be installed: {error}")
    with ExitStack() as stack:
        servers: dict[str, Server] = {}
        for launch in (launch for launch in launches if launch.freezes):
            if (server := _start(launch, result)) is not None:
                servers[launch.name] = server
                stack.callback(server.stop)
                server.freeze()
        for round in range(plan.rounds):
            result.limits.append(_measure_limit(model, published, image.read_bytes(), plan))
            threads = 1 if model.tiny else count_cores()
            result.latencies.append(limit.measure_latency(published, image.read_bytes(), threads, plan.seconds / 2))
            plan.advance(f"{model.name} in-process")
            for launch in launches:
                if (server := _take(launch, servers.get(launch.name), result)) is not None:
                    stack.callback(server.stop)
                    _load(server, round, result, plan)
                    _leave(server)
    return result


def _start(launch: Launch, result: ModelResult) -> Server | None:
    try:
        server = Server(launch)
    except (StartFailed, OSError) as error:
        _fail(result, launch.name, f"can't be started: {error}")
        return None
    facts = result.servers.setdefault(launch.name, ServerFacts(server.ready_s, launch.version))
    facts.ready_s = min(facts.ready_s, server.ready_s)
    return server


def _take(launch: Launch, server: Server | None, result: ModelResult) -> Server | None:
    """Give the machine to a server; one that can't be frozen is started now. None for one that couldn't be had."""
    if not launch.freezes:
        return _start(launch, result)
    if server is not None:
        server.thaw()
    return server


def _leave(server: Server) -> None:
    if server.launch.freezes:
        server.freeze()
    else:
        server.stop()


def _fail(result: ModelResult, name: str, reason: str) -> None:
    result.failures[name] = reason
    print(f"\n{name} is left out of {result.model}: it {reason}", file=sys.stderr, flush=True)


def _load(server: Server, round: int, result: ModelResult, plan: Plan) -> None:
    name, facts = server.launch.name, result.servers[server.launch.name]
    for connections in plan.connections:
        try:
            result.samples.append(_sample(server, connections, round, plan.seconds))
        except WrkFailed as error:
            _fail(result, name, f"can't be measured at {connections} connections: {error}")
        memory, largest = server.memory_mb()
        facts.memory_mb, facts.largest_mb = max(facts.memory_mb, memory), max(facts.largest_mb, largest)
        plan.advance(f"{result.model} {name} x{connections}")
    for rate in plan.rates:
        open_result = asyncio.run(
            run_open_loop([server.shot.read()], server.port, rate, plan.seconds, is_right=server.shot.is_right)
        )
        result.open_samples.append(OpenSample(name, round, open_result))
        plan.advance(f"{result.model} {name} at {rate:g}/s")


def _sample(server: Server, connections: int, round: int, seconds: int) -> Sample:
    warm_up = run_wrk(server.shot, server.port, connections, WARM_UP_S)
    turn_s = connections / warm_up.rate if warm_up.rate else LONGEST * seconds
    server.wait_until_idle()
    before = server.cpu_seconds()
    run = run_wrk(server.shot, server.port, connections, stretch(seconds, turn_s), turn_s)
    used = server.cpu_seconds() - before
    if not run.answers:
        raise WrkFailed(f"no answer within {run.seconds:.0f} s; give it more --seconds")
    return Sample(
        server.launch.name,
        connections,
        round,
        rate=run.rate,
        p50_ms=run.p50_ms,
        p95_ms=run.p95_ms,
        p99_ms=run.p99_ms,
        errors=run.wrong + run.lost,
        # Answers as they came once settled: how far those are that the end cuts off, nobody knows.
        cpu_ms=1e3 * used / max(1.0, run.rate * run.seconds),
        generator_ms=1e3 * run.generator_s / max(1, run.answers),
        wrong_answer=run.sample,
    )


def stretch(seconds: int, turn_s: float) -> int:
    """Seconds to measure for: longer than asked where a turn through all connections takes long, within reason."""
    return min(LONGEST * seconds, max(seconds, ceil(TURNS * turn_s)))


def _measure_limit(model: LoadModel, published: Published, image: bytes, plan: Plan) -> dict[str, limit.Limit]:
    if not model.tiny:
        return limit.measure_loops(published, image, plan.seconds / 2)
    http_s, run = _measure_constant(plan)
    generator_s = run.generator_s / max(1, run.answers)
    return {"ceiling": limit.measure_ceiling(published, image, count_cores(), http_s, generator_s)}


def _measure_constant(plan: Plan) -> tuple[float, Result]:
    """CPU seconds that uvicorn takes to answer a constant, and the run that showed it."""
    work = (plan.folder / "work" / "constant").resolve()
    work.mkdir(parents=True, exist_ok=True)
    (work / "body").write_bytes(bytes(300))
    flags = ["--no-access-log", "--log-level", "warning"]

    def command(port: int) -> list[str]:
        app = f"{constant_app.__name__}:app"
        return [sys.executable, "-m", "uvicorn", app, "--port", str(port), *flags]

    shot = Shot("/", work / "body", "image/png")
    server = Server(Launch("constant", command, shot, constant_app.LABEL, "uvicorn", work, cwd=ROOT))
    try:
        run_wrk(server.shot, server.port, CONSTANT_CONNECTIONS, WARM_UP_S)
        before = server.cpu_seconds()
        run = run_wrk(server.shot, server.port, CONSTANT_CONNECTIONS, CONSTANT_S)
        return (server.cpu_seconds() - before) / max(1, run.answers), run
    finally:
        server.stop()
