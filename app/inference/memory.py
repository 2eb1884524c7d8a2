"""How much memory a model takes: measured around its load, in this process and on its GPU."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.inference.devices import ChosenDevice


def measure_memory(device: ChosenDevice) -> int:
    """Bytes in use where models of `device` live: on the GPU as its driver counts, else resident in this process.

    0 where the system doesn't tell. Only differences mean something: a GPU is shared with other processes.
    """
    return measure_gpu(device.index) if device.is_cuda else measure_resident()


def measure_resident() -> int:
    """Resident bytes of this process; 0 on systems without /proc."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def measure_gpu(index: int, library: str = "libcuda.so.1") -> int:
    """Bytes in use on GPU `index` by the driver's count; 0 where it can't be asked.

    Asks the driver's own library, which every machine with a GPU has and which numbers GPUs as CUDA_VISIBLE_DEVICES
    does; nvidia-smi and NVML don't.
    """
    try:
        cuda = ctypes.CDLL(library)
    except OSError:
        return 0
    device, context, dropped = ctypes.c_int(), ctypes.c_void_p(), ctypes.c_void_p()
    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    if cuda.cuInit(0) or cuda.cuDeviceGet(ctypes.byref(device), index):
        return 0
    if cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), device):
        return 0
    try:
        if cuda.cuCtxPushCurrent_v2(context):
            return 0
        failed = cuda.cuMemGetInfo_v2(ctypes.byref(free), ctypes.byref(total))
        cuda.cuCtxPopCurrent_v2(ctypes.byref(dropped))
    finally:
        cuda.cuDevicePrimaryCtxRelease_v2(device)
    return 0 if failed else total.value - free.value
