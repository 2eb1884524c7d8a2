"""The busy share of a GPU, as its driver counts it, sampled through NVML without any package."""

from __future__ import annotations

import ctypes
import statistics
import threading
from types import TracebackType

_EVERY_S = 0.1


class _Utilization(ctypes.Structure):
    _fields_ = (("gpu", ctypes.c_uint), ("memory", ctypes.c_uint))


class BusyShare:
    """`with BusyShare(0) as busy: ...; busy.mean()`: the share of time with a kernel at work, None without a GPU."""

    def __init__(self, index: int, library: str = "libnvidia-ml.so.1") -> None:
        self._samples: list[int] = []
        self._end = threading.Event()
        self._thread: threading.Thread | None = None
        try:
            self._nvml = ctypes.CDLL(library)
        except OSError:
            return
        handle = ctypes.c_void_p()
        if self._nvml.nvmlInit_v2() or self._nvml.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(handle)):
            return
        self._thread = threading.Thread(target=self._sample, args=(handle,), daemon=True)

    def __enter__(self) -> BusyShare:
        if self._thread is not None:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        if self._thread is not None:
            self._thread.join()

    def mean(self) -> float | None:
        return statistics.fmean(self._samples) / 100 if self._samples else None

    def _sample(self, handle: ctypes.c_void_p) -> None:
        found = _Utilization()
        while not self._end.wait(_EVERY_S):
            if self._nvml.nvmlDeviceGetUtilizationRates(handle, ctypes.byref(found)) == 0:
                self._samples.append(found.gpu)
