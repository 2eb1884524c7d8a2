"""Device buffers for one batch size: allocated once, so that their addresses stay fixed and cuDNN sees only a few
shapes. With CUDA graphs the first run of each batch size is recorded, and later runs replay it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from app.runtime import RunSettings, Runtime, Session
from artifact.images.frame import Pixels

# A run with this graph id is neither recorded nor replayed.
NO_GRAPH = -1


class BucketBinding:
    """Runs up to `shape[0]` rows on the GPU, `shape` being [rows, height, width, channels]; fewer are padded with what
    the buffer held before.

    With a `graph_id`, which must be this binding's own, the first run is recorded and later ones replay it: for that
    the outputs have fixed addresses too, and every run must come from the same thread.
    """

    def __init__(
        self,
        session: Session,
        shape: tuple[int, int, int, int],
        outputs: Sequence[str],
        index: int,
        runtime: Runtime,
        graph_id: int | None,
    ) -> None:
        self._session = session
        self._host = np.zeros(shape, np.uint8)
        self._device = runtime.OrtValue.ortvalue_from_numpy(self._host, "cuda", index)
        self._binding = session.io_binding()
        self._binding.bind_ortvalue_input("image", self._device)
        self._options: RunSettings | None = None
        if graph_id is None:
            for name in outputs:
                self._binding.bind_output(name, "cuda", index)
            return
        self._options = graph_options(runtime, graph_id)
        # A plain run shows the shapes: those of `features` depend on the network alone.
        found = session.run(list(outputs), {"image": self._host}, graph_options(runtime, NO_GRAPH))
        for name, value in zip(outputs, found, strict=True):
            kept = runtime.OrtValue.ortvalue_from_shape_and_type(list(value.shape), np.float32, "cuda", index)
            self._binding.bind_ortvalue_output(name, kept)

    def run(self, rows: Sequence[Pixels]) -> list[npt.NDArray[np.float32]]:
        """Run up to `shape[0]` rows, each uint8 [height, width, channels], on the GPU. Returns the outputs in the order
        in which they were named, each float32 [rows, ...], copied to the CPU, without the padding.
        """
        for place, row in enumerate(rows):
            self._host[place] = row
        self._device.update_inplace(self._host)
        self._session.run_with_iobinding(self._binding, self._options)
        return [output[: len(rows)] for output in self._binding.copy_outputs_to_cpu()]


def graph_options(runtime: Runtime, graph_id: int) -> RunSettings:
    """Run options that name the graph to record or replay."""
    options = runtime.RunOptions()
    options.add_run_config_entry("gpu_graph_id", str(graph_id))
    return options
