"""Which device a session runs on, and the proof that CUDA is really there.

ONNX Runtime falls back to the CPU silently, and says that it has CUDA where its libraries can't even be
loaded.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from app.errors import DeviceUnavailable
from app.runtime import Providers, Runtime
from app.settings import Settings

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"

# One 3x3 convolution, float32 [1, 1, 8, 8]: cuDNN is loaded lazily, so only running a real Conv proves it.
ONE_CONV = Path(__file__).parent.parent / "assets" / "one_conv.onnx"
# Kernels that carry a network's arithmetic; their fused forms (FusedConv, NhwcConv, FusedMatMul) contain these words.
_HEAVY = ("Conv", "MatMul", "Gemm")


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


@dataclass(frozen=True)
class CudaOptions:
    """Options of ONNX Runtime's CUDA provider by their own names; app.settings says what they mean."""

    cudnn_conv_algo_search: str = "HEURISTIC"
    cudnn_conv_use_max_workspace: bool = True
    prefer_nhwc: bool = False
    fuse_conv_bias: bool = False
    use_tf32: bool = True
    arena_extend_strategy: str = "kSameAsRequested"
    cuda_graphs: bool = False

    @classmethod
    def of(cls, settings: Settings) -> CudaOptions:
        return cls(**{name: getattr(settings, name) for name in cls.__dataclass_fields__})

    def to_provider(self, index: int) -> dict[str, Any]:
        """The provider's options for GPU `index`; switches are "1" and "0" there."""
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "cuda_graphs"}
        switches = {name: str(int(value)) for name, value in fields.items() if isinstance(value, bool)}
        return {"device_id": index, **fields, **switches, "enable_cuda_graph": str(int(self.cuda_graphs))}


class Placement(NamedTuple):
    """Which provider ran an operator of a profiled run, and how many of its nodes."""

    op: str
    provider: str
    nodes: int


def choose_device(wanted: str, runtime: Runtime) -> ChosenDevice:
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


def choose_devices(wanted: str, runtime: Runtime) -> list[ChosenDevice]:
    """As `choose_device`; cuda:N,M,... names several GPUs, every one of which must work."""
    kind, _, indices = wanted.partition(":")
    if "," not in indices:
        return [choose_device(wanted, runtime)]
    return [choose_device(f"{kind}:{index}", runtime) for index in dict.fromkeys(indices.split(","))]


def name_devices(devices: Sequence[ChosenDevice]) -> str:
    """cpu, cuda:0 or cuda:0,1."""
    first, *others = (device.name for device in devices)
    return ",".join([first, *(name.partition(":")[2] for name in others)])


def check_cuda(index: int, runtime: Runtime) -> None:
    """Run one convolution on GPU `index` with the CPU forbidden.

    Raises DeviceUnavailable saying what is missing.
    """
    if CUDA not in runtime.get_available_providers():
        raise DeviceUnavailable("CUDA is not available: this onnxruntime is built without it (the gpu extra has it)")
    try:
        runtime.preload_dlls()
        options = runtime.SessionOptions()
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        options.log_severity_level = 4  # its errors come back as the exception
        session = runtime.InferenceSession(str(ONE_CONV), options, providers=cuda_providers(index, fallback=False))
        session.run(None, {"x": np.ones((1, 1, 8, 8), np.float32)})
    except Exception as error:  # onnxruntime raises errors of many kinds, and OSError for missing libraries
        raise DeviceUnavailable(f"CUDA is not available on cuda:{index}: {_first_line(error)}") from error
    if session.get_providers()[0] != CUDA:
        raise DeviceUnavailable(f"CUDA is not available on cuda:{index}: onnxruntime fell back to the CPU")


def cuda_providers(index: int, *, fallback: bool, options: CudaOptions | None = None) -> Providers:
    """The provider list for GPU `index`; `fallback` lets single nodes (shapes, mostly) run on the CPU."""
    cuda = (CUDA, (options or CudaOptions()).to_provider(index))
    return [cuda, CPU] if fallback else [cuda]


def read_placement(profile: Path) -> list[Placement]:
    """Where the nodes of a profiled run were computed, from ONNX Runtime's profile; the file is removed."""
    try:
        events = json.loads(profile.read_bytes())
    finally:
        profile.unlink(missing_ok=True)
    seen: dict[tuple[str, str], set[str]] = {}
    for event in events:
        arguments = event.get("args", {})
        if event.get("cat") == "Node" and "op_name" in arguments:
            place = (arguments["op_name"], arguments.get("provider", CUDA))
            seen.setdefault(place, set()).add(event.get("name", ""))
    return [Placement(op, provider, len(names)) for (op, provider), names in sorted(seen.items())]


def find_strays(placement: Sequence[Placement]) -> list[str]:
    """Operators that carry arithmetic and yet ran elsewhere than on CUDA."""
    return sorted(
        {place.op for place in placement if place.provider != CUDA and any(word in place.op for word in _HEAVY)}
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
