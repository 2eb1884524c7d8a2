"""Which device a session runs on, and the proof that CUDA is really there.

ONNX Runtime falls back to the CPU silently, and says that it has CUDA where its libraries can't even be
loaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from app.errors import DeviceUnavailable

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"

# One 3x3 convolution, float32 [1, 1, 8, 8]: cuDNN is loaded lazily, so only running a real Conv proves it.
ONE_CONV = Path(__file__).parent.parent / "assets" / "one_conv.onnx"


@dataclass(frozen=True)
class ChosenDevice:
    """Where sessions run, and why there."""

    name: str
    """cpu or cuda:N."""
    reason: str

    @property
    def is_cuda(self) -> bool:
        return self.name != "cpu"

    @property
    def kind(self) -> str:
        return "cuda" if self.is_cuda else "cpu"

    @property
    def index(self) -> int:
        return int(self.name.partition(":")[2] or 0)


def choose_device(wanted: str, runtime: Any) -> ChosenDevice:
    """Turn auto, cpu, cuda or cuda:N into the device to use. `runtime` is the onnxruntime module.

    `cuda` that doesn't work raises DeviceUnavailable; `auto` then takes the CPU and its reason says why.
    """
    if wanted == "cpu":
        return ChosenDevice("cpu", "as set")
    index = int(wanted.partition(":")[2] or 0)
    name = f"cuda:{index}"
    try:
        check_cuda(index, runtime)
    except DeviceUnavailable as error:
        if wanted != "auto":
            raise
        return ChosenDevice("cpu", f"auto: {error.detail}")
    return ChosenDevice(name, "auto: CUDA works" if wanted == "auto" else "as set")


def choose_devices(wanted: str, runtime: Any) -> list[ChosenDevice]:
    """As `choose_device`; cuda:N,M,... names several GPUs, every one of which must work."""
    kind, _, indices = wanted.partition(":")
    if "," not in indices:
        return [choose_device(wanted, runtime)]
    return [choose_device(f"{kind}:{index}", runtime) for index in dict.fromkeys(indices.split(","))]


def name_devices(devices: Sequence[ChosenDevice]) -> str:
    """cpu, cuda:0 or cuda:0,1."""
    first, *others = (device.name for device in devices)
    return ",".join([first, *(name.partition(":")[2] for name in others)])


def check_cuda(index: int, runtime: Any) -> None:
    """Run one convolution on GPU `index` with the CPU forbidden.

    Raises DeviceUnavailable saying what is missing.
    """
    if CUDA not in runtime.get_available_providers():
        raise DeviceUnavailable("this onnxruntime has no CUDA (the gpu extra brings one that has)")
    try:
        runtime.preload_dlls()
        options = runtime.SessionOptions()
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        options.log_severity_level = 4  # its errors come back as the exception
        session = runtime.InferenceSession(str(ONE_CONV), options, providers=cuda_providers(index, fallback=False))
        session.run(None, {"x": np.ones((1, 1, 8, 8), np.float32)})
    except Exception as error:  # onnxruntime raises errors of many kinds, and OSError for missing libraries
        raise DeviceUnavailable(f"CUDA doesn't run on cuda:{index}: {_first_line(error)}") from error
    if session.get_providers()[0] != CUDA:
        raise DeviceUnavailable(f"CUDA doesn't run on cuda:{index}: onnxruntime fell back to the CPU")


def cuda_providers(index: int, *, fallback: bool) -> list[Any]:
    """The provider list for GPU `index`; `fallback` lets single nodes (shapes, mostly) run on the CPU."""
    # HEURISTIC: EXHAUSTIVE costs seconds for every new shape, DEFAULT can be 50 times slower.
    # kSameAsRequested: the arena doesn't double, so several models share a GPU.
    cuda = {
        "device_id": index,
        "cudnn_conv_algo_search": "HEURISTIC",
        "arena_extend_strategy": "kSameAsRequested",
    }
    return [(CUDA, cuda), CPU] if fallback else [(CUDA, cuda)]


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
