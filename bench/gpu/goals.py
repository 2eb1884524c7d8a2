"""What was promised of a GPU, and whether a run's results keep it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Found = dict[str, dict[str, dict[str, Any]]]
"""The steps of each piece by its letter."""

IN_PROCESS, READY_S, OF_DECODING = 0.95, 5.0, 0.85


@dataclass(frozen=True)
class Goal:
    """`value` None: not measured."""

    text: str
    wanted: str
    value: float | None
    met: bool


def judge(found: Found) -> list[Goal]:
    goals = []
    for name in ("vgg16", "resnet152"):
        share = in_process_share(found, name)
        text = f"{name} over v2 tensors, beside in-process ONNX Runtime"
        goals.append(Goal(text, f">= {IN_PROCESS:.0%}", share, share is not None and share >= IN_PROCESS))
    for name in ready_names(found):
        seconds = found["d"][f"{name}, ready"].get("ready_s")
        text = f"{name} ready with all buckets warm, in seconds from the start of the process"
        goals.append(Goal(text, f"<= {READY_S:g}", seconds, seconds is not None and seconds <= READY_S))
    for name in ready_names(found):
        if not found["d"][f"{name}, ready"].get("jpeg"):
            continue
        share = decoding_share(found, name)
        text = f"{name}, JPEGs over HTTP, beside cores / (decode + resize on one core)"
        goals.append(Goal(text, f">= {OF_DECODING}", share, share is not None and share >= OF_DECODING))
    return goals


def ready_names(found: Found) -> list[str]:
    return [step.removesuffix(", ready") for step in found.get("d", {}) if step.endswith(", ready")]


def in_process_share(found: Found, name: str) -> float | None:
    """The best rate over v2 tensors, by the default settings, over the best of ONNX Runtime in process."""
    served, limit = best_rate(found, f"{name}, tensor"), best_bound(found, name)
    return None if served is None or limit is None else served / limit


def decoding_share(found: Found, name: str) -> float | None:
    """The best rate over images, over what all cores could decode if they did nothing else."""
    ready, served = found.get("d", {}).get(f"{name}, ready", {}), best_rate(found, f"{name}, image")
    if served is None or "decode_s" not in ready:
        return None
    return float(served * ready["decode_s"] / ready["cores"])


def best_rate(found: Found, step: str) -> float | None:
    rates = [load["rate"] for load in found.get("d", {}).get(step, {}).get("connections", {}).values()]
    return max(rates, default=None)


def best_bound(found: Found, name: str) -> float | None:
    """Images a second of ONNX Runtime with I/O binding, copies included, at its best batch of up to 32 rows."""
    batches = found.get("c", {}).get(name, {}).get("batches", {})
    return max((int(size) / batch["bound_s"] for size, batch in batches.items() if int(size) <= 32), default=None)
