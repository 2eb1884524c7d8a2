"""Which machine this is: card, driver, cores, versions; and what the card's maker says that it can do."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
from dataclasses import dataclass
from typing import Any

import onnxruntime

from app.machine import count_cores


@dataclass(frozen=True)
class Peak:
    """Dense, without sparsity: 10^12 floating-point operations a second, 10^9 bytes a second; 0 where there is none."""

    fp32: float
    tf32: float
    fp16: float
    memory: float


# The makers' data sheets, by what nvidia-smi calls the card; the first that is found in the name counts.
PEAKS: dict[str, Peak] = {
    "B200": Peak(75, 1125, 2250, 7700),
    "H200": Peak(67, 494.7, 989.4, 4800),
    "H100 PCIe": Peak(51, 378, 756, 2000),
    "H100": Peak(67, 494.7, 989.4, 3350),
    "A100-SXM4-40GB": Peak(19.5, 156, 312, 1555),
    "A100": Peak(19.5, 156, 312, 2039),
    "L40S": Peak(91.6, 183, 362, 864),
    "L4": Peak(30.3, 60, 121, 300),
    "A10": Peak(31.2, 62.5, 125, 600),
    "T4": Peak(8.1, 0, 65, 320),
    "V100": Peak(15.7, 0, 125, 900),
    "RTX 4090": Peak(82.6, 82.6, 165.2, 1008),
    "RTX 3090": Peak(35.6, 35.6, 71, 936),
}


def find_peak(card: str) -> Peak | None:
    """What is known of a card by its name; None of one that isn't in the table."""
    return next((peak for name, peak in PEAKS.items() if re.search(rf"\b{re.escape(name)}\b", card)), None)


def describe_machine() -> dict[str, Any]:
    return {
        "card": query_card(),
        "cores": count_cores(),
        "processor": _processor(),
        "python": platform.python_version(),
        "onnxruntime": onnxruntime.__version__,
        "providers": onnxruntime.get_available_providers(),
    }


def query_card(program: str = "nvidia-smi") -> dict[str, str]:
    """Name, driver, memory, clocks and power limit of the first card; empty where nobody can be asked."""
    fields = ("name", "driver_version", "memory.total", "clocks.max.sm", "power.limit", "pcie.link.gen.max")
    if shutil.which(program) is None:
        return {}
    command = [program, f"--query-gpu={','.join(fields)}", "--format=csv,noheader"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if done.returncode != 0 or not done.stdout.strip():
        return {}
    return dict(zip(fields, map(str.strip, done.stdout.splitlines()[0].split(",")), strict=False))


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
    except OSError:
        return platform.processor() or "unknown"
