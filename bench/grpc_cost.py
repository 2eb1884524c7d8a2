"""python -m bench.grpc_cost: what a call over gRPC costs the server beyond grpc.aio's empty answer, in ms of CPU.

The empty answer is a server in a process of its own, by uvloop like the service, that reads the same messages as bytes
and answers constant ones of the same size. Both are asked in turn, with 1 and with 8 calls under way, by tritonclient's
stub. The model is tiny: what is measured is the way to it. Only the differences within one run mean something.

With --streams REPOSITORY... it measures ModelStreamInfer beside the v2 protocol over HTTP instead, for the one model of
each repository: 1, 8 and 32 clients, a connection and one request under way each, ask by turns for one encoded image.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import grpc
import uvloop
from tritonclient.grpc.service_pb2 import ModelInferRequest, ModelInferResponse, ModelStreamInferResponse

from app.client.load.connection import Connection, Request
from app.client.terminal import end_like_ctrl_c
from artifact.card import read_card
from bench.forms import as_binary
from bench.load.__main__ import describe_machine
from bench.service import running, serving
from deploy.ports import free_port
from tests.makers.artifacts import gray_image

CALL = "/inference.GRPCInferenceService/ModelInfer"
STREAM = "/inference.GRPCInferenceService/ModelStreamInfer"
STREAMS = (1, 8, 32)
BOUND_MS = 0.3
WARM_UP, WARM_UP_S = 300, 0.3


async def serve_empty(port: int, size: int) -> None:
    """Answer each call with the same `size` bytes, until killed."""

    async def answer(request: bytes, context: object) -> bytes:
        return bytes(size)

    class Handler(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpcio has no types
        def service(self, details: object) -> grpc.RpcMethodHandler:
            return grpc.unary_unary_rpc_method_handler(answer)

    server = grpc.aio.server()
    server.add_generic_rpc_handlers([Handler()])
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


def make_request(model: str, image: bytes) -> bytes:
    """A ModelInferRequest with one encoded image."""
    tensor = ModelInferRequest.InferInputTensor(name="image", datatype="BYTES", shape=[1])
    contents = [len(image).to_bytes(4, "little") + image]
    request: bytes = ModelInferRequest(
        model_name=model, inputs=[tensor], raw_input_contents=contents
    ).SerializeToString()
    return request


def read_cpu_s(pid: int) -> float:
    """CPU time that all threads of a process have taken so far, user and system, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(pid: int, ask: Callable[[], bytes], calls: int, at_once: int) -> float:
    """Milliseconds of the server's CPU a call."""

    def ask_some(count: int) -> None:
        for _ in range(count):
            ask()

    with ThreadPoolExecutor(at_once) as threads:
        before = read_cpu_s(pid)
        list(threads.map(ask_some, [calls // at_once] * at_once))
        time.sleep(0.1)  # what is done after the last answer
        return (read_cpu_s(pid) - before) / calls * 1e3


async def ask_by_stream(port: int, request: bytes, until: float) -> int:
    """How many answers one stream got."""
    count = 0
    # A channel has a connection of its own only where it shares none.
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", [("grpc.use_local_subchannel_pool", 1)]) as channel:
        stream = channel.stream_stream(STREAM)(wait_for_ready=True)
        while time.perf_counter() < until:
            await stream.write(request)
            answer = ModelStreamInferResponse.FromString(await stream.read())
            assert answer.infer_response.raw_output_contents, answer.error_message
            count += 1
        await stream.done_writing()
    return count


async def ask_by_http(port: int, request: Request, until: float) -> int:
    """How many answers one connection got."""
    count, connection = 0, Connection(port)
    while time.perf_counter() < until:
        answer = await connection.send(request)
        assert answer.status == 200, answer.body
        count += 1
    await connection.end()
    return count


def compare_streams(repository: Path, seconds: float, rounds: int) -> list[str]:
    """The rows of the table for the one model of a repository."""
    (folder,) = (path.parent for path in repository.glob("*/*/card.json"))
    model, image = folder.parent.name, gray_image(150, size=read_card(folder).image.height)
    body, headers = as_binary(image, "")
    http, grpc_port = Request(f"/v2/models/{model}/infer", body, headers), free_port()
    found: dict[tuple[str, int], list[tuple[float, float]]] = {}
    with serving("--repository", str(repository), "--workers", "1", "--grpc-port", str(grpc_port)) as service:
        ways: dict[str, Callable[[float], Awaitable[int]]] = {
            "gRPC stream": partial(ask_by_stream, grpc_port, make_request(model, image)),
            "HTTP": partial(ask_by_http, service.port, http),
        }
        for _ in range(rounds):
            for clients in STREAMS:
                for name, ask in ways.items():
                    uvloop.run(ask_at_once(ask, clients, WARM_UP_S))
                    cpu_s = read_cpu_s(service.process.pid)
                    count = uvloop.run(ask_at_once(ask, clients, seconds))
                    cpu_s = read_cpu_s(service.process.pid) - cpu_s
                    found.setdefault((name, clients), []).append((count / seconds, cpu_s / count * 1e3))
    rows = []
    for name in ways:
        rates, costs = zip(*(map(statistics.median, zip(*found[name, n], strict=True)) for n in STREAMS), strict=True)
        figures = [f"{rate:,.0f} ({cost:.2f})" for rate, cost in zip(rates, costs, strict=True)]
        rows.append(f"| {model}, {name} | {' | '.join(figures)} |")
    return rows


async def ask_at_once(ask: Callable[[float], Awaitable[int]], clients: int, seconds: float) -> int:
    """The number of answers that all `clients` got together."""
    until = time.perf_counter() + seconds
    return sum(await asyncio.gather(*(ask(until) for _ in range(clients))))


@end_like_ctrl_c()
def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=4000, help="of each measured run (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="the table shows their medians (default: %(default)s)")
    parser.add_argument("--streams", nargs="+", type=Path, metavar="REPOSITORY", help="streams beside HTTP instead")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each run of --streams (default: %(default)s)")
    parser.add_argument("--empty", nargs=2, type=int, metavar=("PORT", "SIZE"), help="only serve the empty answer")
    given = parser.parse_args(arguments)
    if given.empty:
        uvloop.run(serve_empty(*given.empty))
        return 0
    print(describe_machine(), flush=True)
    if given.streams:
        print(f"| requests/s (ms of server CPU) | {' | '.join(map(str, STREAMS))} |\n|---|{'---:|' * len(STREAMS)}")
        for repository in given.streams:
            print(*compare_streams(repository, given.seconds, given.rounds), sep="\n", flush=True)
        return 0
    request, ports = make_request("tiny", gray_image(255)), (free_port(), free_port())
    with running("--workers", "1", "--grpc-port", str(ports[0])) as service:
        channels = [grpc.insecure_channel(f"127.0.0.1:{port}") for port in ports]
        ours, empty = (
            partial(channel.unary_unary(CALL), request, timeout=30, wait_for_ready=True) for channel in channels
        )
        answer = ours()
        assert ModelInferResponse.FromString(answer).outputs[0].shape == [1, 5]
        command = [sys.executable, "-m", "bench.grpc_cost", "--empty", str(ports[1]), str(len(answer))]
        other = subprocess.Popen(command)
        servers = {"empty answer": (other.pid, empty), "convserve": (service.process.pid, ours)}
        found: dict[tuple[str, int], list[float]] = {}
        try:
            for round_number in range(given.rounds + 1):  # the first one warms up
                for at_once in (1, 8):
                    for name, (pid, ask) in servers.items():
                        cost = measure(pid, ask, given.calls if round_number else WARM_UP, at_once)
                        found.setdefault((name, at_once), []).extend([cost] if round_number else [])
        finally:
            other.kill()
            other.wait()
            for channel in channels:
                channel.close()
    print("| ms of CPU a call | 1 at once | 8 at once |\n|---|---:|---:|")
    median = {key: statistics.median(costs) for key, costs in found.items()}
    for name in servers:
        print(f"| {name} | {median[name, 1]:.3f} | {median[name, 8]:.3f} |")
    beyond = [median["convserve", at_once] - median["empty answer", at_once] for at_once in (1, 8)]
    held = max(beyond) <= BOUND_MS
    print(f"{'ok    ' if held else 'FAILED'} {beyond[0]:.3f} and {beyond[1]:.3f} ms beyond it, at most {BOUND_MS}")
    return 0 if held else 1


if __name__ == "__main__":
    raise SystemExit(main())
