"""python -m bench.fair: what a bulk sender leaves to a single caller.

Eight connections post 64 images a request, as fast as they are answered, all of which fit into the queue; beside them
one caller posts one image at a time. It is measured alone, then beside the bulk: with the bulk's own key, with a key of
its own, and with one of the highest class. The networks are made on the spot: a tiny one, and one of some milliseconds,
which gets small images, and photos that threads decode.

Passes where the caller's p99 with its own key, and with the higher class, is at most its p99 alone, plus one batch in
flight (the longest that a request of the bulk sender met, their median), plus one run on one thread (the caller's own,
their median), both as the service says meanwhile, and every answer is right.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import re
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import uvloop

from app.admission.keys import hash_key
from app.client.load.connection import Answer, Connection, Request
from app.client.terminal import end_like_ctrl_c
from bench.load.table import align
from bench.overload import make_photo
from bench.service import SIZE, running
from tests.makers.artifacts import gray_image

CONNECTIONS, IMAGES = 8, 64
"""Of the bulk sender, and of each of its requests."""
STAGE = re.compile(r"(\w+);dur=([\d.]+)")
STAGES = ("decode", "queue", "infer", "total")
"""Of Server-Timing."""
_LAYERS = 12
_BOUNDARY = "fair"
# The keys are their own names.
_SETTINGS = "\n".join(
    f'[keys.{name}]\nhash = "{hash_key(name)}"\npriority = {priority}\n'
    for name, priority in {"bulk": 2, "own": 2, "first": 1}.items()
)


class Workload(NamedTuple):
    title: str
    layers: int
    """Convolutions of the network; 0: a tiny one."""
    image: bytes
    media_type: str


WORKLOADS = {
    "tiny": Workload("a tiny network, small PNG", 0, gray_image(150, size=SIZE), "image/png"),
    "small": Workload("a network of milliseconds, 32x32 PNG", _LAYERS, gray_image(150, size=SIZE), "image/png"),
    "photos": Workload("a network of milliseconds, 100 kB photos", _LAYERS, make_photo(), "image/jpeg"),
}


class Call(NamedTuple):
    """One request of the single caller."""

    ms: float
    status: int
    stages: Mapping[str, float]
    """Milliseconds in the service, as Server-Timing has them: decode, queue, infer, total."""


@dataclass(frozen=True)
class Seen:
    """What the single caller saw, and what the service ran meanwhile."""

    calls: list[Call]
    bulk_wrong: int
    """Answers of the bulk sender's other than 200."""
    bulk_rate: float
    """Images a second of the bulk sender's that were answered."""
    batches_ms: Sequence[float]
    """Of each request of the bulk sender's the longest batch."""

    def percentile(self, percent: float) -> float:
        return float(np.percentile([call.ms for call in self.calls], percent))

    def median_of(self, stage: str) -> float:
        """Milliseconds, as the service says."""
        return statistics.median(call.stages[stage] for call in self.calls if stage in call.stages)

    @property
    def is_right(self) -> bool:
        """Whether every answer was."""
        return not self.bulk_wrong and all(call.status == 200 for call in self.calls)

    @property
    def allowed_ms(self) -> float:
        """Beside what the caller has alone: a batch in flight and a run."""
        return statistics.median(self.batches_ms) + self.median_of("infer")


def write_form(image: bytes, media_type: str, count: int) -> tuple[bytes, str]:
    """A form with `count` copies of an encoded image, and its Content-Type."""
    lines = (
        f"--{_BOUNDARY}",
        'Content-Disposition: form-data; name="file"; filename="image"',
        f"Content-Type: {media_type}",
    )
    part = "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n" + image + b"\r\n"
    return part * count + f"--{_BOUNDARY}--\r\n".encode(), f"multipart/form-data; boundary={_BOUNDARY}"


def ask(key: str, body: bytes, media_type: str) -> Request:
    return Request("/predict/tiny", body, {"Content-Type": media_type, "Authorization": f"Bearer {key}"})


class Bulk:
    """The bulk sender, in a process of its own: what it takes of its event loop mustn't hold up the single caller."""

    def __init__(self, port: int, workload: Workload, connections: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._batches_ms, theirs = context.Pipe(duplex=False)
        self._images, self._wrong = (context.Value("q", 0) for _ in range(2))
        self._end = context.Event()
        request = ask("bulk", *write_form(workload.image, workload.media_type, IMAGES))
        shared = self._images, self._wrong, self._end, theirs
        self._process = context.Process(target=_send_bulk, args=(port, request, connections, *shared))
        self._process.start()

    @property
    def images(self) -> int:
        """So many were answered."""
        return int(self._images.value)

    def stop(self) -> tuple[int, list[float]]:
        """How many requests got another answer than 200, and the milliseconds of the longest batch of each."""
        self._end.set()
        found: list[float] = self._batches_ms.recv()
        self._process.join()
        return int(self._wrong.value), found


def _send_bulk(port: int, request: Request, connections: int, images: Any, wrong: Any, end: Any, batches: Any) -> None:
    found: list[float] = []

    async def send() -> None:
        connection = Connection(port)
        while not end.is_set():
            answer = await connection.send(request)
            images.value += IMAGES
            wrong.value += answer.status != 200
            found.extend(ms for name, ms in read_stages(answer).items() if name == "infer")
        connection.close()

    async def send_all() -> None:
        await asyncio.gather(*(send() for _ in range(connections)))

    uvloop.run(send_all())
    batches.send(found)


def measure(port: int, workload: Workload, key: str, connections: int, seconds: float) -> Seen:
    """Measure the caller of single images, by `key`, for `seconds`, while the bulk sender keeps `connections` busy."""
    bulk = Bulk(port, workload, connections)
    request = ask(key, workload.image, workload.media_type)
    try:
        while connections and not bulk.images:
            time.sleep(0.01)
        uvloop.run(call(port, request, seconds / 4))
        images = bulk.images
        start = time.perf_counter()
        calls = uvloop.run(call(port, request, seconds))
        rate = (bulk.images - images) / (time.perf_counter() - start)
    finally:
        wrong, batches_ms = bulk.stop()
    return Seen(calls, wrong, rate, batches_ms)


async def call(port: int, request: Request, seconds: float) -> list[Call]:
    """Send one request after the other for `seconds`."""
    connection, calls = Connection(port), []
    until = time.perf_counter() + seconds
    while (start := time.perf_counter()) < until:
        answer = await connection.send(request)
        calls.append(Call((time.perf_counter() - start) * 1e3, answer.status, read_stages(answer)))
    connection.close()
    return calls


def read_stages(answer: Answer) -> dict[str, float]:
    """Milliseconds by the names of Server-Timing."""
    return {name: float(ms) for name, ms in STAGE.findall(answer.headers.get("server-timing", ""))}


@end_like_ctrl_c()
def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measurement (default: %(default)s)")
    parser.add_argument("--only", choices=WORKLOADS, help="one of the workloads")
    given = parser.parse_args()
    found = {}
    with TemporaryDirectory() as folder:
        settings = Path(folder, "settings.toml")
        settings.write_text(_SETTINGS, encoding="utf-8")
        for name, workload in WORKLOADS.items():
            if given.only in (None, name):
                found[workload.title] = try_workload(workload, settings, given.seconds)
    return report(found)


def try_workload(workload: Workload, settings: Path, seconds: float) -> dict[str, Seen]:
    """Each situation of the caller, on one server."""
    situations = {
        "alone": ("own", 0),
        "with the bulk's key": ("bulk", CONNECTIONS),
        "with its own key": ("own", CONNECTIONS),
        "with the highest class": ("first", CONNECTIONS),
    }
    rows = str(CONNECTIONS * IMAGES)  # so that the bulk sender is never refused
    with running("--settings", str(settings), "--max-queue-rows", rows, slow_layers=workload.layers) as server:
        return {
            title: measure(server.port, workload, key, connections, seconds)
            for title, (key, connections) in situations.items()
        }


def report(found: Mapping[str, Mapping[str, Seen]]) -> int:
    """Print what was seen; 0 where every bound was kept."""
    rows, failed = [], 0
    for workload, situations in found.items():
        alone = situations["alone"].percentile(99)
        for title, seen in situations.items():
            says = ""
            if title in ("with its own key", "with the highest class"):
                bound = alone + seen.allowed_ms
                kept = seen.percentile(99) <= bound and seen.is_right
                failed += not kept
                says = f"{bound:.1f} {'ok' if kept else 'FAILED'}"
            figures = [seen.percentile(50), seen.percentile(99), *map(seen.median_of, STAGES), seen.bulk_rate]
            rows.append([workload, title, f"{len(seen.calls):,}", *(f"{figure:.1f}" for figure in figures), says])
            workload = ""
    head = ["", "the caller", "requests", "p50 ms", "p99 ms", *STAGES, "bulk images/s", "p99 at most"]
    print(align(head, rows))
    return int(failed > 0)


if __name__ == "__main__":
    raise SystemExit(main())
