"""Piece b: every network in fp32, TF32 and fp16 on the device, beside the CPU: worst difference and equal top-1."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from app.inference.devices import ChosenDevice, CudaOptions
from app.inference.session import OnnxSession
from app.machine import count_cores
from artifact.images.frame import Pixels
from artifact.layout import MODEL_FILE
from bench.gpu.pictures import golden_probabilities, golden_rows, random_rows
from bench.gpu.plan import Opened, Plan, Step

NOISE = 8
BATCH = 8


def steps(plan: Plan) -> Iterator[Step]:
    for name in plan.names:
        yield name, partial(_compare, plan, name)


def _compare(plan: Plan, name: str) -> dict[str, Any]:
    """Golden images and as many of noise; differences are between probabilities."""
    opened = plan.open(name)
    rows = [*golden_rows(opened), *random_rows(opened, NOISE)]
    on_cpu = _probabilities(plan, opened, ChosenDevice("cpu", "reference"), rows)
    golden = golden_probabilities(opened)
    variants = {"fp32": (opened, CudaOptions(use_tf32=False))}
    if plan.device.is_cuda:
        variants["tf32"] = (opened, CudaOptions(use_tf32=True))
    if plan.has(f"{name}-fp16"):
        variants["fp16"] = (plan.open(f"{name}-fp16"), CudaOptions())
    found: dict[str, Any] = {}
    for title, (model, options) in variants.items():
        found[title] = compare(on_cpu, _probabilities(plan, model, plan.device, rows, options))
    return {"images": len(rows), "cpu_from_export": compare(golden, on_cpu[: len(golden)]), "variants": found}


def _probabilities(
    plan: Plan, opened: Opened, device: ChosenDevice, rows: list[Pixels], options: CudaOptions | None = None
) -> npt.NDArray[np.float32]:
    session = OnnxSession(
        opened.folder / MODEL_FILE,
        opened.card,
        device,
        max_batch_size=BATCH,
        threads=count_cores(),
        cuda=options,
        runtime=plan.onnx,
    )
    batches = [rows[start : start + BATCH] for start in range(0, len(rows), BATCH)]
    return np.stack([scores.probabilities for batch in batches for scores in session.run(batch)])


def compare(expected: npt.NDArray[np.float32], found: npt.NDArray[np.float32]) -> dict[str, Any]:
    """Of two sets of probabilities [n, classes]: the worst difference, how many of the top classes are equal, and the
    margin of the surest that isn't: a difference beyond half of it would have to be there. Raises ValueError where
    `found` has values that aren't finite.
    """
    if not np.isfinite(found).all():
        raise ValueError("there are probabilities that are not finite")
    top = np.sort(expected, axis=1)
    changed = expected.argmax(axis=1) != found.argmax(axis=1)
    margins = (top[:, -1] - top[:, -2])[changed]
    return {
        "worst": float(np.abs(expected - found).max()),
        "equal_top1": int((~changed).sum()),
        "of": len(expected),
        "changed_margin": float(margins.max()) if len(margins) else 0.0,
    }
