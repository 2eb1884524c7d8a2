"""A stand-in for the onnxruntime module with a GPU: it computes on the CPU and reports what a test tells it to.

It is an app.runtime.Runtime, as the module itself is: mypy checks both.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnxruntime

from app.runtime import Array, Providers, Runtime

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"


class FakeRuntime:
    """Behaves as onnxruntime-gpu on a healthy machine, but for the faults that are set."""

    SessionOptions = onnxruntime.SessionOptions
    RunOptions = onnxruntime.RunOptions

    def __init__(
        self,
        *,
        has_cuda: bool = True,
        libraries_load: bool = True,
        falls_back: bool = False,
        ops_on_cpu: tuple[str, ...] = (),
        captures: bool = True,
    ) -> None:
        self.has_cuda = has_cuda
        self.libraries_load = libraries_load
        self.falls_back = falls_back
        self.ops_on_cpu = ops_on_cpu
        self.captures = captures
        self.preloaded = 0
        self.replayed: list[int] = []
        self.shapes_run: list[tuple[int, ...]] = []
        self.run_error: Exception | None = None
        self.OrtValue = FakeValue

    def get_available_providers(self) -> list[str]:
        return [CUDA, CPU] if self.has_cuda else [CPU]

    def preload_dlls(self) -> None:
        self.preloaded += 1

    def InferenceSession(self, path: str, options: Any, providers: Providers) -> FakeSession:
        names = [provider if isinstance(provider, str) else provider[0] for provider in providers]
        if CUDA in names and not self.libraries_load:
            if CPU not in names:  # as with session.disable_cpu_ep_fallback=1
                raise RuntimeError("Failed to load library libcudnn.so.9\nwith a long trace")
            names = [CPU]
        if self.falls_back and CPU in names:
            names = [CPU]
        graphs = any(
            not isinstance(provider, str) and provider[1]["enable_cuda_graph"] == "1" for provider in providers
        )
        if graphs and not self.captures:
            raise RuntimeError("This session cannot use the graph capture feature: nodes are on the CPU")
        return FakeSession(self, path, options, names, graphs)


class FakeSession:
    def __init__(self, runtime: FakeRuntime, path: str, options: Any, providers: list[str], graphs: bool) -> None:
        self._runtime = runtime
        self._providers = providers
        self._recorded: dict[int, Recording] | None = {} if graphs else None
        self._prefix = options.profile_file_prefix
        plain = onnxruntime.SessionOptions()
        plain.log_severity_level = 4
        self._session = onnxruntime.InferenceSession(path, plain, providers=[CPU])
        self.get_inputs, self.get_outputs = self._session.get_inputs, self._session.get_outputs

    def get_providers(self) -> list[str]:
        return self._providers

    def run(self, names: Sequence[str] | None, feeds: Mapping[str, Array], options: Any = None) -> Any:
        if self._recorded is not None:
            assert _graph_id(options) == -1, "a run without fixed addresses would be recorded"
        return self._compute(names, feeds)

    def _compute(self, names: Sequence[str] | None, feeds: Mapping[str, Array]) -> Any:
        if self._runtime.run_error is not None:
            raise self._runtime.run_error
        self._runtime.shapes_run.append(next(iter(feeds.values())).shape)
        return self._session.run(names, feeds)

    def end_profiling(self) -> str:
        events: list[dict[str, Any]] = [{"cat": "Session", "name": "model_run"}]
        for op in ("FusedConv", "Shape", "MatMul"):
            provider = CPU if op in self._runtime.ops_on_cpu or op == "Shape" else CUDA
            events.append({"cat": "Node", "name": op, "args": {"op_name": op, "provider": provider}})
        path = Path(f"{self._prefix}_profile.json")
        path.write_text(json.dumps(events))
        return str(path)

    def io_binding(self) -> FakeBinding:
        return FakeBinding()

    def run_with_iobinding(self, binding: FakeBinding, options: Any = None) -> None:
        if self._recorded is not None:
            self._replay(binding, _graph_id(options))
        computed = self._compute(binding.outputs, {name: value.held for name, value in binding.inputs.items()})
        for name, value in zip(binding.outputs, computed, strict=True):
            if (kept := binding.kept.get(name)) is not None:
                assert kept.held.shape == value.shape
                kept.held[...] = value
        binding.results = computed

    def _replay(self, binding: FakeBinding, graph_id: int) -> None:
        """As CUDA does it: a graph belongs to the thread and to the addresses that it was recorded with."""
        assert self._recorded is not None
        assert set(binding.kept) == set(binding.outputs), "outputs without fixed addresses"
        now = Recording(threading.get_ident(), tuple(binding.inputs.values()), tuple(binding.kept.values()))
        assert self._recorded.setdefault(graph_id, now) == now, f"graph {graph_id} was recorded with something else"
        self._runtime.replayed.append(graph_id)


class Recording(NamedTuple):
    thread: int
    inputs: tuple[FakeValue, ...]
    outputs: tuple[FakeValue, ...]


def _graph_id(options: Any) -> int:
    return 0 if options is None else int(options.get_run_config_entry("gpu_graph_id"))


class FakeValue:
    """An OrtValue in device memory: changed only through update_inplace."""

    def __init__(self, held: Array) -> None:
        self.held = held

    @staticmethod
    def ortvalue_from_numpy(array: Array, device: str, index: int) -> FakeValue:
        assert device == "cuda"
        return FakeValue(array.copy())

    @staticmethod
    def ortvalue_from_shape_and_type(shape: Sequence[int], kind: Any, device: str, index: int) -> FakeValue:
        assert device == "cuda"
        return FakeValue(np.zeros(shape, kind))

    def update_inplace(self, array: Array) -> None:
        assert array.shape == self.held.shape
        self.held = array.copy()


class FakeBinding:
    def __init__(self) -> None:
        self.inputs: dict[str, FakeValue] = {}
        self.outputs: list[str] = []
        self.kept: dict[str, FakeValue] = {}
        self.results: list[Array] = []

    def bind_ortvalue_input(self, name: str, value: FakeValue) -> None:
        self.inputs[name] = value

    def bind_output(self, name: str, device: str, index: int) -> None:
        self.outputs.append(name)

    def bind_ortvalue_output(self, name: str, value: FakeValue) -> None:
        self.outputs.append(name)
        self.kept[name] = value

    def copy_outputs_to_cpu(self) -> list[Array]:
        return self.results


_: type[Runtime] = FakeRuntime  # for mypy alone
