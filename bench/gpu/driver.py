"""The NVIDIA driver's own library, to provoke what can't be asked for politely: full memory and a lost device."""

from __future__ import annotations

import ctypes

_CHUNK = 64 << 20
# One store to address 0: from then on every call of this process on the device fails, as after a fault of the hardware.
_FAULT = b"""
.version 6.5
.target sm_75
.address_size 64
.visible .entry fault()
{
    .reg .u64 %address;
    .reg .u32 %value;
    mov.u64 %address, 0;
    mov.u32 %value, 1;
    st.global.u32 [%address], %value;
    ret;
}
\0"""


class DriverError(Exception):
    """A call of the driver's that failed."""


class Driver:
    """The primary context of one GPU, which ONNX Runtime uses too. Raises DriverError, or OSError without a driver."""

    def __init__(self, index: int, library: str = "libcuda.so.1") -> None:
        self._cuda = ctypes.CDLL(library)
        device, context = ctypes.c_int(), ctypes.c_void_p()
        self._call("cuInit", 0)
        self._call("cuDeviceGet", ctypes.byref(device), index)
        self._call("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
        self._call("cuCtxPushCurrent_v2", context)
        self._held: list[ctypes.c_uint64] = []

    def fill_memory(self) -> int:
        """Take what is free, down to less than a megabyte; the bytes taken."""
        size, taken = _CHUNK, 0
        while size >= 1 << 20:
            place = ctypes.c_uint64()
            if self._cuda.cuMemAlloc_v2(ctypes.byref(place), ctypes.c_size_t(size)):
                size //= 2
            else:
                self._held.append(place)
                taken += size
        return taken

    def free_memory(self) -> None:
        while self._held:
            self._call("cuMemFree_v2", self._held.pop())

    def lose_device(self) -> int:
        """Run a kernel that faults; the driver's error code, 700 as a rule. This process can't use the device again."""
        module, function = ctypes.c_void_p(), ctypes.c_void_p()
        self._call("cuModuleLoadData", ctypes.byref(module), _FAULT)
        self._call("cuModuleGetFunction", ctypes.byref(function), module, b"fault")
        self._call("cuLaunchKernel", function, *([1] * 6), 0, None, None, None)
        return int(self._cuda.cuCtxSynchronize())

    def _call(self, name: str, *arguments: object) -> None:
        if code := getattr(self._cuda, name)(*arguments):
            raise DriverError(f"{name} gave error {code}")
