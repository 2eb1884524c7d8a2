"""The interface of an untouched network, whatever framework it is from, for conversion and proof."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from export.errors import ConversionError, ExportError, reason


class Network(Protocol):
    """An untouched network, which the proof compares with the graph: a keras.Model, a SavedModel or an ONNX file."""

    name: str

    def __call__(self, pixels: npt.NDArray[np.float32], /, *, training: bool = False) -> Any:
        """Prepared float32 [n, height, width, channels] to outputs [n, ...], an array of any framework."""
        ...


def known_width(model: Network) -> int | None:
    """The number of outputs a row, where the network says it without being converted."""
    shape = getattr(model, "output_shape", None)
    if isinstance(shape, tuple) and len(shape) == 2 and isinstance(shape[1], int):
        return shape[1]
    return None


def only_output(outputs: Any) -> Any:
    """The tensor in a dict or list of one. Raises ConversionError where a network gives several."""
    while isinstance(outputs, dict | list | tuple):
        if len(outputs) != 1:
            named = f" ({', '.join(map(str, outputs))})" if isinstance(outputs, dict) else ""
            raise ConversionError(
                f"the network has {len(outputs)} outputs{named}: a classifier has one, detection networks can't be "
                "served"
            )
        (outputs,) = outputs.values() if isinstance(outputs, dict) else outputs
    return outputs


def try_shape(model: Network, shape: tuple[int, int, int], rows: int) -> tuple[int, ...]:
    """The shape of what a network gives for blank images [rows, h, w, c]: files leave it open, or say it wrong.

    Raises ConversionError where it can't be run.
    """
    try:
        return np.asarray(only_output(model(np.zeros((rows, *shape), np.float32), training=False))).shape
    except ExportError:
        raise
    except Exception as error:  # Keras, TensorFlow and ONNX Runtime raise errors of many kinds
        raise ConversionError(f"the network can't run on an image: {reason(error)}") from error
