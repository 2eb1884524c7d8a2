"""python -m bench.grpc_cost: what a call over gRPC costs the server beyond grpc.aio's empty answer, in ms of CPU.

The empty answer is a server in a process of its own, by uvloop like the service, that reads the same messages as bytes
and answers constant ones of the same size. Both are asked in turn, with 1 and with 8 calls under way, by tritonclient's
stub. The model is tiny: what is measured is the way to it. Only the differences within one run mean something.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import grpc
import uvloop
from tritonclient.grpc.service_pb2 import ModelInferRequest, ModelInferResponse

from bench.load.__main__ import describe_machine
from bench.service import running
from deploy.ports import free_port
from tests.makers.artifacts import gray_image

CALL = "/inference.GRPCInferenceService/ModelInfer"
BOUND_MS = 0.3
WARM_UP = 300


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


def make_request() -> bytes:
    """One encoded image for the model `tiny`."""
    image = gray_image(255)
    tensor = ModelInferRequest.InferInputTensor(name="image", datatype="BYTES", shape=[1])
    contents = [len(image).to_bytes(4, "little") + image]
    request: bytes = ModelInferRequest(
        model_name="tiny", inputs=[tensor], raw_input_contents=contents
    ).SerializeToString()
    return request


def read_cpu_s(pid: int) -> float:
    """CPU time that all threads of a process have taken so far, user and system, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
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


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=4000, help="of each measured run (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="the table shows their medians (default: %(default)s)")
    parser.add_argument("--empty", nargs=2, type=int, metavar=("PORT", "SIZE"), help="only serve the empty answer")
    given = parser.parse_args(arguments)
    if given.empty:
        uvloop.run(serve_empty(*given.empty))
        return 0
    request, ports = make_request(), (free_port(), free_port())
    print(describe_machine(), flush=True)
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
