"""The gRPC server as users run it: in the process of `convserve serve`, with workers, over TLS, until SIGTERM."""

import asyncio
import json
import logging
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from tritonclient.grpc import service_pb2
from tritonclient.grpc.service_pb2_grpc import GRPCInferenceServiceStub

from app.catalog.catalog import Catalog
from app.grpc.messages import find_class
from app.settings import Settings
from tests.makers.artifacts import gray_image
from tests.makers.gate import Gate
from tests.makers.running_server import RunningServer, run_serve
from tests.makers.sources import ROOT
from tests.makers.threaded_server import serve_all_in_thread
from tests.makers.waiting import wait_until

TLS = ROOT / "tests/fixtures/tls"
WHITE = gray_image(255)


def find_port(server: RunningServer) -> int:
    (line,) = (line for line in server.lines if " grpc" in line)
    return int(line.rpartition(":")[2])


def image_input() -> list[triton.InferInput]:
    image = triton.InferInput("image", [1], "BYTES")
    image.set_data_from_numpy(np.array([WHITE], dtype=object))
    return [image]


def message(model: str = "tiny") -> service_pb2.ModelInferRequest:
    tensor = service_pb2.ModelInferRequest.InferInputTensor(name="image", datatype="BYTES", shape=[1])
    return service_pb2.ModelInferRequest(
        model_name=model, inputs=[tensor], raw_input_contents=[len(WHITE).to_bytes(4, "little") + WHITE]
    )


@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_asynchronous_client_is_served_by_every_worker_until_sigterm(start_server: Callable, workers: str) -> None:
    server = start_server("--grpc-port", "0", "--workers", workers, "--access-log", "--log-format", "json")
    port = int(json.loads(next(line for line in server.lines if " grpc:" in line))["message"].rpartition(":")[2])

    async def ask() -> list[int]:
        found = []
        for _ in range(20):  # a channel each: the kernel spreads connections
            options = [("grpc.use_local_subchannel_pool", 1)]
            async with triton_aio.InferenceServerClient(f"127.0.0.1:{port}", channel_args=options) as client:
                result = await client.infer("tiny", image_input())
                found.append(int(result.as_numpy("probabilities").argmax()))
        return found

    assert asyncio.run(ask()) == [4] * 20
    assert server.stop() == 0
    entries = [json.loads(line) for line in "".join(server.lines).splitlines()]
    access = [entry for entry in entries if entry["logger"] == "convserve.access"]
    assert len(access) == 20
    assert {entry["message"].rpartition(" 200 ")[0] for entry in access} == {
        "POST /inference.GRPCInferenceService/ModelInfer"
    }
    assert len({entry["pid"] for entry in access}) <= int(workers)
    assert {entry["level"] for entry in entries} == {"info"}


def test_tls_is_by_the_certificate_of_https(start_server: Callable) -> None:
    server = start_server(
        *("--grpc-port", "0"),
        *("--ssl-certfile", str(TLS / "certificate.pem"), "--ssl-keyfile", str(TLS / "key.pem")),
    )
    address = f"127.0.0.1:{find_port(server)}"
    with triton.InferenceServerClient(address, ssl=True, root_certificates=str(TLS / "certificate.pem")) as client:
        assert client.infer("tiny", image_input()).as_numpy("probabilities").argmax() == 4
    with grpc.insecure_channel(address) as channel, pytest.raises(grpc.RpcError):
        GRPCInferenceServiceStub(channel).ServerLive(service_pb2.ServerLiveRequest(), timeout=10)


def test_a_stream_is_answered_and_ended_at_sigterm(start_server: Callable) -> None:
    server = start_server("--grpc-port", "0", "--workers", "1")

    def send() -> Iterator[service_pb2.ModelInferRequest]:
        yield message()
        assert told_one.acquire(timeout=30)
        server.process.send_signal(signal.SIGTERM)
        ended.acquire(timeout=30)

    told_one, ended = threading.Semaphore(0), threading.Semaphore(0)
    with grpc.insecure_channel(f"127.0.0.1:{find_port(server)}") as channel:
        stream = GRPCInferenceServiceStub(channel).ModelStreamInfer(send(), timeout=60)
        assert next(stream).error_message == ""
        told_one.release()
        with pytest.raises(grpc.RpcError) as caught:
            next(stream)
        ended.release()
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert "the server is shutting down" in caught.value.details()
    assert server.process.wait(30) == 0
    (line,) = (line for line in server.process.stderr if "stopping" in line)
    assert "once 0 requests are answered" in line


def test_an_address_in_use_is_one_line_and_status_2(start_server: Callable, repository: Path) -> None:
    server = start_server()
    again = run_serve("--port", "0", "--grpc-port", str(server.port), "--repository", str(repository))
    assert again.returncode == 2
    assert again.stderr == f"convserve serve: port {server.port} is already in use: choose another with --grpc-port\n"


WITHOUT = """
import sys
for name in ("grpc", "grpc_reflection", "google"):
    sys.modules[name] = None
from app.__main__ import main
sys.exit(main())
"""


def test_without_the_extra_only_a_port_for_it_is_refused(repository: Path) -> None:
    command = [sys.executable, "-c", WITHOUT, "serve", "--port", "0", "--repository", str(repository)]
    refused = subprocess.run([*command, "--grpc-port", "0"], capture_output=True, text=True, timeout=60, check=False)
    assert refused.returncode == 2
    assert refused.stderr.endswith("gRPC isn't installed: install the grpc extra or leave it out\n")
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        assert any(line.endswith(" ready\n") for line in process.stderr)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def serve(repository: Path) -> Iterator[Callable[..., tuple[Gate, Catalog, grpc.Channel]]]:
    """A server in this process whose model runs when the test lets it."""
    with ExitStack() as stack:

        def start(**options: object) -> tuple[Gate, Catalog, grpc.Channel]:
            gate = Gate()
            settings = Settings(repository=repository, grpc_port=0, access_log=True, **options)
            catalog = Catalog(settings, gate.load)
            _, port = stack.enter_context(serve_all_in_thread(settings, catalog=catalog))
            stack.callback(gate.open.set)
            return gate, catalog, stack.enter_context(grpc.insecure_channel(f"127.0.0.1:{port}"))

        yield start


def count_rows(catalog: Catalog) -> float:
    return catalog.metrics.snapshot()["convserve_queue_rows"][("tiny", "1")][0]


def count_under_way(gate: Gate, catalog: Catalog) -> float:
    """Rows that wait, and those that the first batch took: as many as there were when it began."""
    return count_rows(catalog) + sum(gate.batches)


def test_a_stream_that_is_cancelled_takes_its_requests_with_it(serve: Callable) -> None:
    gate, catalog, channel = serve()
    stream = GRPCInferenceServiceStub(channel).ModelStreamInfer(iter([message() for _ in range(20)]), timeout=60)
    assert gate.entered.acquire(timeout=30)
    wait_until(lambda: count_under_way(gate, catalog) == 20)
    stream.cancel()
    wait_until(lambda: count_rows(catalog) == 0)
    gate.open.set()
    wait_until(lambda: catalog.metrics.snapshot()["convserve_requests_total"].get(("tiny", "499")) == [20.0])
    assert len(gate.batches) == 1


def test_a_stream_reads_no_further_ahead_than_it_answers(serve: Callable) -> None:
    # How long a batch is held at the gate is how long the next ones are expected to take: deadlines far beyond that.
    gate, catalog, channel = serve(max_batch_size=256, timeout_ms=300_000)
    requests = iter([message() for _ in range(300)])  # more than the queue holds
    stream = GRPCInferenceServiceStub(channel).ModelStreamInfer(requests, timeout=300)
    assert gate.entered.acquire(timeout=30)
    wait_until(lambda: count_under_way(gate, catalog) >= 33)
    assert count_under_way(gate, catalog) < 41
    gate.open.set()
    assert [answer.error_message for answer in stream] == [""] * 300


def test_the_deadline_of_the_call_is_the_requests(serve: Callable) -> None:
    gate, catalog, channel = serve()
    stub = GRPCInferenceServiceStub(channel)
    with pytest.raises(grpc.RpcError) as caught:
        stub.ModelInfer(message(), timeout=0.3)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    wait_until(lambda: catalog.metrics.snapshot()["convserve_requests_total"].get(("tiny", "504")) == [1.0])
    assert count_rows(catalog) == 0
    gate.open.set()


def test_an_error_has_its_code_and_id_in_the_trailers_and_never_too_many_of_them(serve: Callable) -> None:
    gate, _, channel = serve()
    gate.open.set()
    stub = GRPCInferenceServiceStub(channel)
    with pytest.raises(grpc.RpcError) as caught:
        stub.ModelInfer(message("no " + "\u6f22" * 5000), metadata=[("x-request-id", "mine")], timeout=30)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    trailers = dict(caught.value.trailing_metadata())
    assert (trailers["x-error-code"], trailers["x-request-id"]) == ("unknown_model", "mine")
    _, call = stub.ModelInfer.with_call(message(), metadata=[("x-request-id", "mine")], timeout=30)
    assert dict(call.trailing_metadata())["x-request-id"] == "mine"


@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
def test_a_message_above_the_limit_is_refused_however_small_it_was_made(
    serve: Callable, compression: grpc.Compression
) -> None:
    gate, _, channel = serve(max_request_bytes=100_000)
    gate.open.set()
    large = message()
    large.raw_input_contents[0] = bytes(20_000_000)
    with pytest.raises(grpc.RpcError) as caught:
        GRPCInferenceServiceStub(channel).ModelInfer(large, compression=compression, timeout=30)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_a_defect_is_told_without_its_trace(serve: Callable, caplog: pytest.LogCaptureFixture) -> None:
    gate, catalog, channel = serve()
    gate.open.set()

    def fail() -> str:
        raise ZeroDivisionError("a secret")

    catalog.explain_unready = fail  # type: ignore[method-assign]
    caplog.set_level(logging.ERROR)
    with pytest.raises(grpc.RpcError) as caught:
        GRPCInferenceServiceStub(channel).ServerReady(service_pb2.ServerReadyRequest(), timeout=30)
    assert caught.value.code() is grpc.StatusCode.INTERNAL
    assert "secret" not in caught.value.details()
    assert "ZeroDivisionError" in caplog.text


CHECK = "/grpc.health.v1.Health/Check"
WATCH = "/grpc.health.v1.Health/Watch"


def test_health_is_that_of_all_that_serves(serve: Callable) -> None:
    gate, catalog, channel = serve()
    gate.open.set()
    response = find_class("HealthCheckResponse")
    serving, unready, unknown = 1, 2, 3

    def check(service: str) -> int:
        request = find_class("HealthCheckRequest")(service=service)
        return int(response.FromString(channel.unary_unary(CHECK)(request.SerializeToString(), timeout=30)).status)

    assert [check(service) for service in ("", "inference.GRPCInferenceService")] == [serving, serving]
    with pytest.raises(grpc.RpcError) as caught:
        check("other")
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    watch = channel.unary_stream(WATCH, response_deserializer=response.FromString)
    told = watch(b"", timeout=60)
    assert next(told).status == serving
    catalog.explain_unready = lambda: "no"  # type: ignore[method-assign]
    assert next(told).status == unready
    told.cancel()
    assert check("") == unready
    other = watch(find_class("HealthCheckRequest")(service="other").SerializeToString(), timeout=60)
    assert next(other).status == unknown
    other.cancel()


def test_reflection_describes_every_service(serve: Callable) -> None:
    gate, _, channel = serve()
    gate.open.set()
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    wanted = reflection_pb2.ServerReflectionRequest(list_services="")
    (listed,) = stub.ServerReflectionInfo(iter([wanted]), timeout=30)
    names = [service.name for service in listed.list_services_response.service]
    assert names == [
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
        "inference.GRPCInferenceService",
    ]
    asked = [reflection_pb2.ServerReflectionRequest(file_containing_symbol=name) for name in names]
    for name, answer in zip(names, stub.ServerReflectionInfo(iter(asked), timeout=30), strict=True):
        (written,) = answer.file_descriptor_response.file_descriptor_proto
        file = FileDescriptorProto.FromString(written)
        assert [f"{file.package}.{service.name}" for service in file.service] == [name]
