"""A stand-in for the onnxruntime module with a GPU: it computes on the CPU and reports what a test tells it to.

It has exactly the surface that app.inference.devices, app.inference.session and app.inference.binding use.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"


class FakeRuntime:
    """Behaves as onnxruntime-gpu on a healthy machine, but for the faults that are set."""

    SessionOptions = onnxruntime.SessionOptions

    def __init__(
        self,
        *,
        has_cuda: bool = True,
        libraries_load: bool = True,
        falls_back: bool = False,
        ops_on_cpu: tuple[str, ...] = (),
    ) -> None:
        self.has_cuda = has_cuda
        self.libraries_load = libraries_load
        self.falls_back = falls_back
        self.ops_on_cpu = ops_on_cpu
        self.preloaded = 0
        self.shapes_run: list[tuple[int, ...]] = []
        self.run_error: Exception | None = None
        self.OrtValue = FakeValue

    def get_available_providers(self) -> list[str]:
        return [CUDA, CPU] if self.has_cuda else [CPU]

    def preload_dlls(self) -> None:
        self.preloaded += 1

    def InferenceSession(self, path: str, options: Any, providers: list[Any]) -> FakeSession:
        names = [provider if isinstance(provider, str) else provider[0] for provider in providers]
        if CUDA in names and not self.libraries_load:
            if CPU not in names:  # as with session.disable_cpu_ep_fallback=1
                raise RuntimeError("Failed to load library libcudnn.so.9\nwith a long trace")
            names = [CPU]
        if self.falls_back and CPU in names:
            names = [CPU]
        return FakeSession(self, path, options, names)


class FakeSession:
    def __init__(self, runtime: FakeRuntime, path: str, options: Any, providers: list[str]) -> None:
        self._runtime = runtime
        self._providers = providers
        self._prefix = options.profile_file_prefix
        plain = onnxruntime.SessionOptions()
        plain.log_severity_level = 4
        self._session = onnxruntime.InferenceSession(path, plain, providers=[CPU])
        self.get_inputs, self.get_outputs = self._session.get_inputs, self._session.get_outputs

    def get_providers(self) -> list[str]:
        return self._providers

    def run(self, names: list[str] | None, feeds: dict[str, Any]) -> list[Any]:
        if self._runtime.run_error is not None:
            raise self._runtime.run_error
        self._runtime.shapes_run.append(next(iter(feeds.values())).shape)
        return self._session.run(names, feeds)

    def end_profiling(self) -> str:
        events = [{"cat": "Session", "name": "model_run"}]
        for op in ("FusedConv", "Shape", "MatMul"):
            provider = CPU if op in self._runtime.ops_on_cpu or op == "Shape" else CUDA
            events.append({"cat": "Node", "name": op, "args": {"op_name": op, "provider": provider}})
        path = Path(f"{self._prefix}_profile.json")
        path.write_text(json.dumps(events))
        return str(path)

    def io_binding(self) -> FakeBinding:
        return FakeBinding()

    def run_with_iobinding(self, binding: FakeBinding) -> None:
        assert binding.image is not None
        binding.results = self.run(binding.outputs, {"image": binding.image.held})


class FakeValue:
    """An OrtValue in device memory: changed only through update_inplace."""

    def __init__(self, held: np.ndarray) -> None:
        self.held = held

    @staticmethod
    def ortvalue_from_numpy(array: np.ndarray, device: str, index: int) -> FakeValue:
        assert device == "cuda"
        return FakeValue(array.copy())

    def update_inplace(self, array: np.ndarray) -> None:
        assert array.shape == self.held.shape
        self.held = array.copy()


class FakeBinding:
    def __init__(self) -> None:
        self.image: FakeValue | None = None
        self.outputs: list[str] = []
        self.results: list[np.ndarray] = []

    def bind_ortvalue_input(self, name: str, value: FakeValue) -> None:
        assert name == "image"
        self.image = value

    def bind_output(self, name: str, device: str, index: int) -> None:
        self.outputs.append(name)

    def copy_outputs_to_cpu(self) -> list[np.ndarray]:
        return self.results
