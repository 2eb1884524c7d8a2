"""What the card can do here: matrix products and a copy, measured through ONNX Runtime itself."""

from __future__ import annotations

from typing import Any

import numpy as np

from app.inference.devices import CudaOptions
from bench.gpu.bare import BareSession
from bench.gpu.floor import Rates
from bench.gpu.plan import Plan
from bench.gpu.probes import COPY, probe_file
from bench.gpu.timing import median_seconds


def measure_rates(plan: Plan) -> dict[str, Any]:
    """Floating-point operations a second in fp32, TF32 (on CUDA) and fp16, and bytes a second of a copy."""
    side = plan.side
    kinds = {"fp32": ("fp32", np.float32, False), "fp16": ("fp16", np.float16, True)}
    if plan.device.is_cuda:
        kinds["tf32"] = ("fp32", np.float32, True)
    found: dict[str, Any] = {}
    generator = np.random.default_rng(0)
    for title, (graph, kind, tf32) in kinds.items():
        session = BareSession(probe_file(plan.pack, graph), plan, CudaOptions(use_tf32=tf32))
        feeds = {name: generator.random((side, side), np.float32).astype(kind) for name in ("a", "b")}
        seconds = median_seconds(session.bound(feeds, ["y"], copies=False), plan.seconds)
        found[title] = 2 * side**3 / seconds
    session = BareSession(probe_file(plan.pack, COPY), plan)
    vector = np.ones(plan.copied, np.float32)
    seconds = median_seconds(session.bound({"a": vector}, ["y"], copies=False), plan.seconds)
    found["bytes"] = 2 * vector.nbytes / seconds
    return found


def rates_for(measured: dict[str, Any], precision: str) -> Rates:
    """Of the measured ones, those that bound a model of this precision under the server's defaults: fp32 models run
    in TF32 where the card has it.
    """
    kinds = {"fp16": measured["fp16"], "fp32": max(measured["fp32"], measured.get("tf32", 0))}
    return Rates(kinds.get(precision, measured["fp32"]), measured["bytes"])
