"""Kernels that needn't be stored: drawn from a seed, the same to the last bit on every machine.

The bits of a Philox generator are fixed by its definition, and what follows is exact in float32: no logarithm, no sum.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
# Tensors of fewer numbers are stored as they are.
LEAST = 4096


def draw(seed: str, shape: tuple[int, ...]) -> Floats:
    """float32 [*shape]: odd multiples of 1/256 from -1 to 1, evenly: mean 0, variance 1/3, none so small that float16
    loses it.
    """
    count = prod(shape)
    key = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:16], "little")
    words = np.random.Philox(key=key).random_raw(-(-count // 8))
    values = words.astype("<u8").view(np.uint8)[:count].astype(np.float32)
    values *= np.float32(1 / 128)
    values -= np.float32(255 / 256)
    return values.reshape(shape)


@dataclass(frozen=True)
class Kernel:
    """A tensor of a graph that is a drawn one, its axes reordered, times a number for each output channel."""

    seed: str
    shape: tuple[int, ...]
    """Of what is drawn."""
    axes: tuple[int, ...]
    channel: int
    """The axis of the output channels, after the reordering."""
    scale: bytes
    """float32, little-endian, one a channel."""

    def values(self) -> Floats:
        """float32, of the drawn shape with its axes reordered: [out, in, height, width] of a convolution."""
        drawn = draw(self.seed, self.shape).transpose(self.axes)
        scale = np.frombuffer(self.scale, "<f4").reshape([-1 if i == self.channel else 1 for i in range(drawn.ndim)])
        return np.ascontiguousarray(drawn * scale)

    def content(self, dtype: str) -> bytes:
        """The tensor as a file holds it; `dtype` is float32 or float16."""
        return self.values().astype(np.dtype(dtype).newbyteorder("<")).tobytes()

    def to_json(self) -> dict[str, Any]:
        return {**self.__dict__, "scale": base64.b64encode(self.scale).decode()}

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Kernel:
        lists = {name: tuple(fields[name]) for name in ("shape", "axes")}
        return cls(**{**fields, **lists, "scale": base64.b64decode(fields["scale"])})


def find_kernel(tensor: Floats, candidates: dict[str, tuple[int, ...]]) -> Kernel | None:
    """The Kernel that `tensor` is within rounding, of the drawn ones in `candidates` (seed: shape); None for none.

    Keras has convolutions as [height, width, in, out], ONNX as [out, in, height, width], and matrices alike or turned.
    """
    for seed, shape in candidates.items():
        for axes, channel in (((3, 2, 0, 1), 0),) if len(shape) == 4 else (((0, 1), 1), ((1, 0), 0)):
            if len(shape) == tensor.ndim and tuple(shape[axis] for axis in axes) == tensor.shape:
                kernel = _fit(tensor, seed, shape, axes, channel)
                if kernel is not None:
                    return kernel
    return None


def _fit(tensor: Floats, seed: str, shape: tuple[int, ...], axes: tuple[int, ...], channel: int) -> Kernel | None:
    """Least squares for each channel's factor, and whether it leaves nothing but rounding."""
    drawn = np.moveaxis(draw(seed, shape).transpose(axes), channel, 0).reshape(tensor.shape[channel], -1)
    wanted = np.moveaxis(tensor, channel, 0).reshape(drawn.shape)
    scale = np.einsum("ij,ij->i", wanted, drawn, dtype=np.float64) / np.einsum(
        "ij,ij->i", drawn, drawn, dtype=np.float64
    )
    rounded = scale.astype("<f4")
    if not np.abs(wanted - drawn * rounded[:, None]).max() <= 1e-5 * np.abs(wanted).max():
        return None
    return Kernel(seed, shape, axes, channel, rounded.tobytes())
