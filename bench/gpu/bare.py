"""In-process ONNX Runtime without the service: what the service is measured against."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy.typing as npt

from app.inference.devices import CPU, CudaOptions, cuda_providers
from app.machine import count_cores
from app.runtime import Providers
from bench.gpu.plan import Opened, Plan


class BareSession:
    """A model's graph in ONNX Runtime, with the server's options for the device."""

    def __init__(self, path: Path, plan: Plan, options: CudaOptions | None = None) -> None:
        self._runtime, self.device = plan.onnx, plan.device
        chosen = self._runtime.SessionOptions()
        chosen.intra_op_num_threads = count_cores()
        chosen.log_severity_level = 3
        providers: Providers = [CPU]
        if self.device.is_cuda:
            providers = cuda_providers(self.device.index, fallback=True, options=options)
        self.session = self._runtime.InferenceSession(str(path), chosen, providers=providers)

    def plain(self, feeds: dict[str, npt.NDArray[Any]], outputs: list[str] | None = None) -> Callable[[], object]:
        """session.run with arrays of the host, by the name of the input: uint8 [n, h, w, c], as the graph has it."""
        return lambda: self.session.run(outputs, feeds)

    def bound(
        self, feeds: dict[str, npt.NDArray[Any]], outputs: list[str], *, copies: bool = True
    ) -> Callable[[], object]:
        """As `plain`, through I/O binding; without `copies` the input stays on the device and the outputs too:
        arithmetic alone.
        """
        place = ("cuda", self.device.index) if self.device.is_cuda else ("cpu", 0)
        binding = self.session.io_binding()
        values = {name: self._runtime.OrtValue.ortvalue_from_numpy(array, *place) for name, array in feeds.items()}
        for name, value in values.items():
            binding.bind_ortvalue_input(name, value)
        for name in outputs:
            binding.bind_output(name, *place)

        def run() -> None:
            if copies:
                for name, value in values.items():
                    value.update_inplace(feeds[name])
            self.session.run_with_iobinding(binding)
            if copies:
                binding.copy_outputs_to_cpu()

        return run


def outputs_of(opened: Opened) -> list[str]:
    """What the server asks for: never the features by themselves."""
    return ["probabilities", "energy"] if opened.card.energy else ["probabilities"]
