"""A finished graph in int8, for CPUs: quantize and dequantize around the network's own nodes."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx

from artifact.card import ImagePolicy
from artifact.images.frame import Pixels
from export.data.samples import Samples, decode_samples
from export.errors import ConversionError, reason
from export.graph.finish import our_nodes
from export.graph.precision.onnxruntime_tools import load_tool
from export.progress import Progress

CALIBRATION_IMAGES = 256
CALIBRATION_BATCH = 16


def to_int8(model: onnx.ModelProto, samples: Samples, policy: ImagePolicy) -> onnx.ModelProto:
    """Quantize and dequantize around the network's nodes: uint8 activations, int8 weights a channel (U8S8).

    Ranges are those of up to 256 of `samples`. Raises ConversionError where ONNX Runtime can't.
    """
    quantization, shape_inference = load_tool("quantization"), load_tool("quantization.shape_inference")

    with tempfile.TemporaryDirectory() as folder:
        whole, folded, quantized = (Path(folder) / name for name in ("fp32.onnx", "folded.onnx", "int8.onnx"))
        onnx.save(model, whole)
        try:
            # Folds batch normalization.
            shape_inference.quant_pre_process(str(whole), str(folded), skip_symbolic_shape=True)
            quantization.quantize_static(
                folded,
                quantized,
                _CalibrationImages(samples, policy),
                quant_format=quantization.QuantFormat.QDQ,
                per_channel=True,
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
                nodes_to_exclude=our_nodes(onnx.load(folded)),
            )
        except Exception as error:  # the tools raise errors of many kinds for nodes that they don't know
            raise ConversionError(f"the network can't be quantized: {reason(error)}") from error
        return onnx.load(quantized)


class _CalibrationImages:
    """Batches of uint8 images, evenly taken from all: onnxruntime.quantization's CalibrationDataReader."""

    def __init__(self, samples: Samples, policy: ImagePolicy) -> None:
        count = min(len(samples), CALIBRATION_IMAGES)
        self._indices = np.linspace(0, len(samples) - 1, count).astype(int)
        self._batches = self._decode(samples, policy)

    def get_next(self) -> dict[str, Pixels] | None:
        return next(self._batches, None)

    def _decode(self, samples: Samples, policy: ImagePolicy) -> Iterator[dict[str, Pixels]]:
        with Progress("calibration", len(self._indices)) as progress:
            for start in range(0, len(self._indices), CALIBRATION_BATCH):
                chosen = self._indices[start : start + CALIBRATION_BATCH]
                yield {"image": decode_samples(samples, chosen, policy)}
                progress.advance(len(chosen))
