"""What the service uses of ONNX Runtime, and nothing else of it: the module is a Runtime, and so is the tests' fake.

ONNX Runtime publishes no such interface and leaves most parameters without a type. mypy holds the module and the fake
to this one, each where it is handed over as a Runtime.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]
# Execution providers by name, the first choice first, with their options where they have any.
Providers: TypeAlias = Sequence[str | tuple[str, dict[str, Any]]]


class Node(Protocol):
    """An input or an output of a graph, as onnxruntime.NodeArg; a dimension that isn't fixed is a name or None."""

    name: str
    type: str
    shape: list[int | str | None]


class SessionSettings(Protocol):
    """What is set of onnxruntime.SessionOptions."""

    intra_op_num_threads: int
    inter_op_num_threads: int
    log_severity_level: int
    enable_profiling: bool
    profile_file_prefix: str

    def add_session_config_entry(self, key: str, value: str, /) -> None: ...


class RunSettings(Protocol):
    """RunOptions."""

    def add_run_config_entry(self, key: str, value: str, /) -> None: ...


class DeviceArray(Protocol):
    """An OrtValue: an array in a device's memory."""

    def update_inplace(self, data: Array, /) -> None: ...


class DeviceArrays(Protocol):
    """The class OrtValue: how such arrays are made."""

    def ortvalue_from_numpy(self, array: Array, device: str, index: int, /) -> DeviceArray: ...

    def ortvalue_from_shape_and_type(
        self, shape: Sequence[int], dtype: npt.DTypeLike, device: str, index: int, /
    ) -> DeviceArray: ...


class Binding(Protocol):
    """IOBinding: where a run takes its inputs from, and where it leaves its outputs.

    Arrays and bindings are given back to the runtime that made them, hence Any here and in Session.
    """

    def bind_ortvalue_input(self, name: str, array: Any, /) -> None: ...

    def bind_ortvalue_output(self, name: str, array: Any, /) -> None: ...

    def bind_output(self, name: str, device: str, index: int, /) -> None: ...

    def copy_outputs_to_cpu(self) -> list[Array]: ...


class Session(Protocol):
    """InferenceSession: a graph, ready to run on a device."""

    def get_inputs(self) -> Sequence[Node]: ...

    def get_outputs(self) -> Sequence[Node]: ...

    def get_providers(self) -> Sequence[str]: ...

    def run(self, outputs: Sequence[str] | None, feeds: Mapping[str, Array], settings: Any = None, /) -> Any: ...

    def io_binding(self) -> Binding: ...

    def run_with_iobinding(self, binding: Any, settings: Any = None, /) -> None: ...

    def end_profiling(self) -> str: ...


class Runtime(Protocol):
    """The module."""

    @property
    def OrtValue(self) -> DeviceArrays: ...

    def SessionOptions(self) -> SessionSettings: ...

    def RunOptions(self) -> RunSettings: ...

    def InferenceSession(self, path: str, settings: Any, /, *, providers: Providers) -> Session: ...

    def get_available_providers(self) -> list[str]: ...

    def preload_dlls(self) -> None: ...
