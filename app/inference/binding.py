"""Device buffers of one batch size: allocated once, so that addresses stay fixed and cuDNN sees a handful of
shapes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from artifact.images.frame import Pixels


class BucketBinding:
    """Runs up to `shape[0]` rows on the GPU; fewer are padded with what the buffer held before."""

    def __init__(
        self, session: Any, shape: tuple[int, int, int, int], outputs: Sequence[str], index: int, runtime: Any
    ) -> None:
        self._session = session
        self._host = np.zeros(shape, np.uint8)
        self._device = runtime.OrtValue.ortvalue_from_numpy(self._host, "cuda", index)
        self._binding = session.io_binding()
        self._binding.bind_ortvalue_input("image", self._device)
        for name in outputs:
            self._binding.bind_output(name, "cuda", index)

    def run(self, rows: Sequence[Pixels]) -> list[npt.NDArray[np.float32]]:
        """The outputs, cut to the rows that were given."""
        for place, row in enumerate(rows):
            self._host[place] = row
        self._device.update_inplace(self._host)
        self._session.run_with_iobinding(self._binding)
        return [output[: len(rows)] for output in self._binding.copy_outputs_to_cpu()]
