"""Clients that go away before they are answered leave nothing behind, by whichever way they came."""

import gc
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import grpc
import pytest
from tritonclient.grpc import service_pb2
from tritonclient.grpc.service_pb2_grpc import GRPCInferenceServiceStub

from app.admission.admission import Ticket
from app.catalog.catalog import Catalog
from app.grpc.envelope import Call
from app.settings import Settings
from bench.service import read_memory
from tests.makers.artifacts import gray_image
from tests.makers.gate import Gate
from tests.makers.raw_client import connect, read_answer
from tests.makers.threaded_server import serve_all_in_thread
from tests.makers.waiting import wait_until

WHITE = gray_image(255)
PART = 100
"""Clients that wait at once, who then leave; the queue holds no more, so a place that stayed taken is missed."""

LONGEST_S = 600

Leave = Callable[[], None]
Ask = Callable[[int], Leave]
"""So many requests; what is returned takes them back."""
ComeAndGo = Callable[[int], None]
"""So many parts of clients, one after the other."""


@contextmanager
def ask_by_grpc(ports: tuple[int, int]) -> Iterator[Ask]:
    tensor = service_pb2.ModelInferRequest.InferInputTensor(name="image", datatype="BYTES", shape=[1])
    message = service_pb2.ModelInferRequest(
        model_name="tiny", inputs=[tensor], raw_input_contents=[len(WHITE).to_bytes(4, "little") + WHITE]
    )
    with grpc.insecure_channel(f"127.0.0.1:{ports[1]}") as channel:
        stub = GRPCInferenceServiceStub(channel)

        def ask(count: int) -> Leave:
            calls = [stub.ModelInfer.future(message, timeout=LONGEST_S) for _ in range(count)]

            def leave() -> None:
                for call in calls:
                    call.cancel()

            return leave

        yield ask


REQUEST = (
    b"POST /predict/tiny HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: %d\r\n\r\n" % len(WHITE)
    + WHITE
)


@contextmanager
def ask_by_http(ports: tuple[int, int]) -> Iterator[Ask]:
    def ask(count: int) -> Leave:
        with ExitStack() as stack:
            for _ in range(count):
                stack.enter_context(connect(ports[0])).sendall(REQUEST)
            return stack.pop_all().close

    yield ask


WAYS = {"grpc": (ask_by_grpc, True), "fast-path": (ask_by_http, True), "app": (ask_by_http, False)}
"""How it is asked, and whether the server has its fast path."""


@pytest.fixture(params=WAYS)
def scene(request: pytest.FixtureRequest, repository: Path) -> Iterator[tuple[Catalog, ComeAndGo]]:
    """A server in this process whose model runs one request until the test has ended, and clients behind that one."""
    ask_by, fast = WAYS[request.param]
    gate = Gate(LONGEST_S)
    settings = Settings(
        repository=repository,
        grpc_port=0,
        timeout_ms=int(LONGEST_S * 1e3),
        max_batch_size=2 * PART,  # so that no batch is handed over ahead
        max_queue_rows=PART,
    )
    catalog = Catalog(settings, gate.load)
    with (
        serve_all_in_thread(settings, catalog=catalog, fast=fast) as ports,
        connect(ports[0]) as first,
        ask_by(ports) as ask,
        ExitStack() as stack,
    ):
        stack.callback(gate.open.set)  # the server waits for what it accepted
        first.sendall(REQUEST)
        assert gate.entered.acquire(timeout=30)
        batcher = catalog.resolve("tiny").batcher

        def come_and_go(parts: int) -> None:
            for _ in range(parts):
                leave = ask(PART)
                wait_until(lambda: batcher.waiting_rows == PART)
                leave()
                wait_until(lambda: batcher.queue_rows == 0)

        yield catalog, come_and_go
        gate.open.set()
        assert read_answer(first)[0] == 200
        wait_until(lambda: batcher.is_idle)
        assert gate.batches == [1], "a row ran whose client had left"


def count_left(catalog: Catalog) -> float:
    """Clients that the service saw leave."""
    (count,) = catalog.metrics.snapshot()["convserve_requests_total"].get(("tiny", "499"), [0])
    return float(count)


def count_objects() -> int:
    """Requests that something still knows of, whichever test made them."""
    gc.collect()
    return sum(isinstance(one, Ticket | Call) for one in gc.get_objects())


def test_300_clients_that_leave_leave_nothing_behind(scene: tuple[Catalog, ComeAndGo]) -> None:
    catalog, come_and_go = scene
    before = count_objects()
    come_and_go(3)
    wait_until(lambda: count_left(catalog) == 3 * PART)
    assert count_objects() == before


@pytest.mark.slow
@pytest.mark.timeout(2 * LONGEST_S)
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads resident memory from /proc")
def test_10_000_clients_that_leave_take_no_memory_with_them(scene: tuple[Catalog, ComeAndGo]) -> None:
    catalog, come_and_go = scene
    come_and_go(20)
    before = read_memory(os.getpid())
    come_and_go(80)
    wait_until(lambda: count_left(catalog) == 100 * PART)
    growth = read_memory(os.getpid()) - before
    print(f"{before:.1f} MB after 2,000 clients, {growth:+.1f} MB after 10,000")
    assert growth < 4, "MB, of server and clients together: half a kilobyte a client"
