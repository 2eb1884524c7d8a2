"""Piece a: is CUDA really used? The checks that the server itself makes before a model becomes ready, each shown."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from app.inference.devices import choose_device
from app.inference.memory import measure_memory
from app.inference.model import prepare_session
from app.settings import Settings
from bench.gpu.machine import describe_machine, find_peak
from bench.gpu.plan import Plan, Step


def steps(plan: Plan) -> Iterator[Step]:
    yield "machine", lambda: {**describe_machine(), "peak": _peak()}
    yield "device", lambda: _choose(plan)
    for name in plan.names:
        yield name, partial(_load, plan, name)


def _peak() -> dict[str, float] | None:
    peak = find_peak(describe_machine()["card"].get("name", ""))
    return None if peak is None else dict(peak.__dict__)


def _choose(plan: Plan) -> dict[str, Any]:
    """What `auto` takes, and the device of the plan, which must work: one convolution ran there, the CPU forbidden."""
    auto = choose_device("auto", plan.onnx)
    return {"device": plan.device.name, "auto": auto.name, "reason": auto.reason}


def _load(plan: Plan, name: str) -> dict[str, Any]:
    """Loaded as the server does: hash, placement of every node, all buckets warm, golden replay."""
    opened = plan.open(name)
    before = measure_memory(plan.device)
    ready = prepare_session(opened.folder, Settings(device=plan.device.name), plan.onnx)
    heavy: dict[str, int] = {}
    for place in ready.session.placement:
        key = f"{place.op} on {place.provider.removesuffix('ExecutionProvider')}"
        heavy[key] = heavy.get(key, 0) + place.nodes
    return {
        "load_s": ready.load_s,
        "golden_difference": ready.replay_difference,
        "tolerance": opened.card.replay.cuda if plan.device.is_cuda else opened.card.replay.cpu,
        "nodes": heavy,
        "memory_mb": (measure_memory(plan.device) - before) / 1e6,
    }
