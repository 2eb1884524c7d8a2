"""Mixed precision (Micikevicius et al. 2018): layers compute in 16 bits, weights and the outputs stay in float32."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import keras

from models.walk import walk_layers

CPU_INFO = Path("/proc/cpuinfo")
_BFLOAT16 = {"avx512_bf16", "amx_bf16"}
"""Flags of processors that multiply in bfloat16; on others oneDNN converts to float32 and back."""


def lower_precision(model: keras.Model, optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    """Let the layers compute in what is faster here, and give the optimizer that goes with it.

    On a GPU that is float16, whose small range needs a scaled loss; on a processor with arithmetic for it, under
    TensorFlow, bfloat16, which has the range of float32. Elsewhere nothing would be gained, and nothing changes.
    """
    if runs_on_gpu():
        _compute_in(model, "mixed_float16")
        # compile() would add it by the model's own policy, which no file keeps: a checkpoint couldn't be read.
        return keras.optimizers.LossScaleOptimizer(optimizer)
    if _multiplies_in_bfloat16():
        _compute_in(model, "mixed_bfloat16")
    return optimizer


def precision_of(model: keras.Model) -> str:
    """The lowest precision that a layer of it computes in: "float16", "bfloat16" or "float32"."""
    used = {layer.compute_dtype for layer in walk_layers(model)}
    return next(name for name in ("float16", "bfloat16", "float32") if name in used)


def runs_on_gpu() -> bool:
    device = str(keras.ops.zeros(1).device).lower()  # where the backend puts an array: "cuda:0", ".../device:gpu:0"
    return "gpu" in device or "cuda" in device


def _multiplies_in_bfloat16() -> bool:
    if keras.backend.backend() != "tensorflow":
        return False
    with contextlib.suppress(OSError):  # another system than Linux
        lines = CPU_INFO.read_text(encoding="utf-8").splitlines()
        return any(_BFLOAT16 & set(line.split()) for line in lines if line.startswith("flags"))
    return False


def _compute_in(model: keras.Model, policy: str) -> None:
    """All layers but those that give the outputs; weights stay float32."""
    left_out = list(_last_layers(model))
    for layer in walk_layers(model):
        # an input computes nothing, and its file keeps no policy
        computes = not isinstance(layer, keras.layers.InputLayer)
        if computes and layer not in left_out and layer.dtype_policy.name == "float32":
            layer.dtype_policy = policy


def _last_layers(model: keras.Model) -> Iterator[keras.layers.Layer]:
    for tensor in keras.tree.flatten(model.output):
        layer = tensor._keras_history.operation
        yield from _last_layers(layer) if isinstance(layer, keras.Model) else (layer,)
