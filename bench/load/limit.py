"""Upper bound of the machine's images per second without a server: decoding and ONNX Runtime in this process, with the
service's own code.

For networks with long runs it is the best of a few threaded loops. Tiny networks are limited by HTTP rather than by
such a loop: for them it is cores / (decode + a row in a batch of 8 + an HTTP answer by raw ASGI + the load generator's
share).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
import onnxruntime

from app.inference.devices import choose_device
from app.inference.session import OnnxSession
from app.machine import count_cores
from artifact.image_policy import ImagePolicy
from artifact.images.decode import decode_image
from artifact.images.frame import Pixels
from bench.load.models import Published

BATCH = 8
# Seconds for which each part of a tiny network's ceiling is measured.
PART_S = 0.5


@dataclass(frozen=True)
class Limit:
    """Images a second; `how` names the loop, or what the ceiling is made of."""

    rate: float
    how: str


@dataclass(frozen=True)
class Latency:
    """Milliseconds that images take, one after another."""

    p50_ms: float
    p99_ms: float


def open_model(published: Published, threads: int) -> OnnxSession:
    card = published.card
    device = choose_device("cpu", onnxruntime)
    return OnnxSession(published.model_file, card, device, max_batch_size=card.max_batch, threads=threads)


def find_top1(published: Published, images: Sequence[bytes]) -> list[tuple[str, float]]:
    """Of each image the label that a server must give, and by how much probability it leads."""
    session, found = open_model(published, count_cores()), []
    for image in images:
        (scores,) = session.run([decode_image(image, published.card.image)])
        second, first = np.sort(scores.probabilities)[-2:]
        found.append((published.card.labels[int(scores.probabilities.argmax())], float(first - second)))
    return found


def measure_loops(published: Published, image: bytes, seconds: float) -> dict[str, Limit]:
    """Every loop that is tried, each run for `seconds`."""
    cores, decode = count_cores(), partial(decode_image, image, published.card.image)
    shared, single = open_model(published, cores), open_model(published, 1)
    found = {}
    for batch in sorted({1, BATCH, published.card.max_batch}):
        name = f"threads that decode {batch} and run {'them' if batch > 1 else 'it'}"
        step = partial(_decode_and_run, single, decode, batch)
        found[name] = Limit(_repeat_in_threads(step, cores, seconds), name)
    for batch in (BATCH, 1):
        name = f"batches of {batch} on all cores, decoded meanwhile"
        found[name] = Limit(_pipeline(shared, decode, batch, cores, seconds), name)
    return found


def measure_ceiling(published: Published, image: bytes, cores: int, http_s: float, generator_s: float) -> Limit:
    """`http_s` and `generator_s` are CPU seconds an answer: of a constant by raw ASGI, and of what loads it."""
    policy, session = published.card.image, open_model(published, 1)
    rows: Sequence[Pixels] = [decode_image(image, policy)] * BATCH
    decode_s = _time(lambda: decode_image(image, policy))
    row_s = _time(lambda: session.run(rows)) / BATCH
    parts = {"decode": decode_s, "row": row_s, "HTTP": http_s, "load generator": generator_s}
    how = f"{cores} cores / (" + " + ".join(f"{name} {1e6 * part:.1f}" for name, part in parts.items()) + " us)"
    return Limit(cores / sum(parts.values()), how)


def measure_latency(published: Published, image: bytes, threads: int, seconds: float) -> Latency:
    """Of decoding an image and running it alone."""
    session, decode = open_model(published, threads), partial(decode_image, image, published.card.image)
    _decode_and_run(session, decode, 1)
    times: list[float] = []
    end = time.perf_counter() + seconds
    while not times or time.perf_counter() < end:
        start = time.perf_counter()
        _decode_and_run(session, decode, 1)
        times.append(time.perf_counter() - start)
    p50, p99 = np.percentile(times, (50, 99)) * 1e3
    return Latency(float(p50), float(p99))


def count_changed(published: Published, images: Sequence[bytes]) -> int:
    """How many top-1 answers change with reduced decoding against full."""
    policy, session = published.card.image, open_model(published, count_cores())

    def answer(image: bytes, chosen: ImagePolicy) -> int:
        return int(session.run([decode_image(image, chosen)])[0].probabilities.argmax())

    full, reduced = (policy.model_copy(update={"reduced_decode": value}) for value in (False, True))
    return sum(answer(image, full) != answer(image, reduced) for image in images)


def _decode_and_run(session: OnnxSession, decode: Callable[[], Pixels], batch: int) -> int:
    session.run([decode() for _ in range(batch)])
    return batch


def _repeat_in_threads(step: Callable[[], int], threads: int, seconds: float) -> float:
    """Images a second of `step`, which returns how many it did, repeated in every thread."""
    step()
    start = time.perf_counter()

    def repeat() -> tuple[int, float]:
        done = 0
        while True:  # once at least, however late this thread came to run
            done += step()
            if (now := time.perf_counter()) >= start + seconds:
                return done, now - start

    with ThreadPoolExecutor(threads) as pool:
        # Each thread over its own time: the last runs of slow networks end far apart.
        return sum(done / spent for done, spent in pool.map(lambda _: repeat(), range(threads)))


def _pipeline(session: OnnxSession, decode: Callable[[], Pixels], batch: int, cores: int, seconds: float) -> float:
    """One run after another on all cores while the next batch is decoded in threads."""
    with ThreadPoolExecutor(cores) as pool:

        def decode_next() -> list[Future[Pixels]]:
            return [pool.submit(decode) for _ in range(batch)]

        waiting, done = decode_next(), 0
        session.run([future.result() for future in waiting])
        waiting, start = decode_next(), time.perf_counter()
        while True:
            rows = [future.result() for future in waiting]
            waiting = decode_next()
            session.run(rows)
            done += batch
            if (now := time.perf_counter()) >= start + seconds:
                return done / (now - start)


def _time(step: Callable[[], object]) -> float:
    """Seconds of one step, the median of ten stretches."""
    step()
    stretches = []
    for _ in range(10):
        count, start = 0, time.perf_counter()
        while count == 0 or time.perf_counter() < start + PART_S / 10:
            step()
            count += 1
        stretches.append((time.perf_counter() - start) / count)
    return float(np.median(stretches))
