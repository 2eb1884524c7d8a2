"""Piece c: images a second in process, at every batch size; the service's session beside bare ONNX Runtime and beside
what the card can do; options of the CUDA provider one by one; batch sizes that alternate.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from app.inference.devices import CudaOptions
from app.inference.session import OnnxSession
from app.machine import count_cores
from artifact.layout import MODEL_FILE
from bench.gpu.bare import BareSession, outputs_of
from bench.gpu.floor import Work, least_seconds
from bench.gpu.pictures import random_rows
from bench.gpu.plan import Opened, Plan, Step
from bench.gpu.rates import measure_rates, rates_for
from bench.gpu.timing import median_seconds

DEFAULTS = CudaOptions()
# Each differs from the defaults in one thing.
OPTIONS: dict[str, CudaOptions] = {
    "defaults": DEFAULTS,
    "EXHAUSTIVE": replace(DEFAULTS, cudnn_conv_algo_search="EXHAUSTIVE"),
    "DEFAULT": replace(DEFAULTS, cudnn_conv_algo_search="DEFAULT"),
    "prefer_nhwc": replace(DEFAULTS, prefer_nhwc=True),
    "fuse_conv_bias": replace(DEFAULTS, fuse_conv_bias=True),
    "no use_tf32": replace(DEFAULTS, use_tf32=False),
    "no max_workspace": replace(DEFAULTS, cudnn_conv_use_max_workspace=False),
    "kNextPowerOfTwo": replace(DEFAULTS, arena_extend_strategy="kNextPowerOfTwo"),
    "cuda_graphs": replace(DEFAULTS, cuda_graphs=True),
}
# Where options are compared: alone, a usual batch and the largest.
OPTION_BATCHES = (1, 32, 128)
ROUNDS = 10


def steps(plan: Plan) -> Iterator[Step]:
    rates: dict[str, Any] = {}

    def probe() -> dict[str, Any]:
        rates.update(measure_rates(plan))
        return dict(rates)

    def sweep(name: str) -> dict[str, Any]:
        return _sweep(plan, name, rates or probe())

    yield "rates", probe
    for network in plan.names:
        for name in (network, f"{network}-fp16"):
            if plan.has(name):
                yield name, partial(sweep, name)
                yield f"{name}, alternating", partial(_alternate, plan, name)
                if plan.device.is_cuda:
                    for title in OPTIONS:
                        yield f"{name}, {title}", partial(_try_option, plan, name, title)


def open_session(plan: Plan, opened: Opened, options: CudaOptions = DEFAULTS) -> OnnxSession:
    return OnnxSession(
        opened.folder / MODEL_FILE,
        opened.card,
        plan.device,
        max_batch_size=max(plan.batches),
        threads=count_cores(),
        cuda=options,
        runtime=plan.onnx,
    )


def _sweep(plan: Plan, name: str, rates: dict[str, Any]) -> dict[str, Any]:
    """Seconds a batch: of the service's session, of ONNX Runtime plain and bound with copies, of its arithmetic alone,
    and the least that the card allows.
    """
    opened = plan.open(name)
    card, outputs = opened.card, outputs_of(opened)
    rows = random_rows(opened, max(plan.batches))
    session: OnnxSession | None = open_session(plan, opened)
    assert session is not None
    ours = {size: median_seconds(partial(session.run, rows[:size]), plan.seconds) for size in plan.batches}
    session = None  # its memory is the next one's
    bare = BareSession(opened.folder / MODEL_FILE, plan)
    width = 2 if card.precision == "fp16" else 4
    work = Work(opened.packed.multiply_adds, card.network.parameters, int(np.prod(card.image.shape)), width)
    batches = {}
    for size in plan.batches:
        feeds = {"image": np.stack(rows[:size])}
        batches[str(size)] = {
            "ours_s": ours[size],
            "plain_s": median_seconds(bare.plain(feeds, outputs), plan.seconds),
            "bound_s": median_seconds(bare.bound(feeds, outputs), plan.seconds),
            "arithmetic_s": median_seconds(bare.bound(feeds, outputs, copies=False), plan.seconds),
            "least_s": least_seconds(work, size, rates_for(rates, card.precision)),
        }
    return {"precision": card.precision, "multiply_adds": work.multiply_adds, "batches": batches}


def _try_option(plan: Plan, name: str, title: str) -> dict[str, Any]:
    """Seconds to load and of the first run of a batch size, which chooses algorithms, and of those after it."""
    opened = plan.open(name)
    start = time.perf_counter()
    session = open_session(plan, opened, OPTIONS[title])
    found: dict[str, Any] = {"load_s": time.perf_counter() - start, "batches": {}}
    for size in [size for size in plan.batches if size in OPTION_BATCHES]:
        rows = random_rows(opened, size)
        start = time.perf_counter()
        session.run(rows)
        first = time.perf_counter() - start
        found["batches"][str(size)] = {
            "first_s": first,
            "s": median_seconds(partial(session.run, rows), plan.seconds),
        }
    return found


def _alternate(plan: Plan, name: str) -> dict[str, Any]:
    """The same runs in two orders: each batch size by itself, and by turns; onnxruntime#23006 made the second 15 times
    slower.
    """
    opened = plan.open(name)
    session = open_session(plan, opened)
    batches = {size: random_rows(opened, size) for size in plan.batches}
    for rows in batches.values():
        session.run(rows)

    def timed(order: list[int]) -> float:
        start = time.perf_counter()
        for size in order:
            session.run(batches[size])
        return time.perf_counter() - start

    rounds = ROUNDS if plan.device.is_cuda else 1
    grouped = timed([size for size in plan.batches for _ in range(rounds)])
    by_turns = timed([*plan.batches] * rounds)
    return {"grouped_s": grouped, "by_turns_s": by_turns, "ratio": by_turns / grouped}
