"""A SavedModel folder as a network: one signature of it, which takes images and gives a row of numbers each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from export.errors import ConversionError, UsageError, reason
from export.sources.keras_file import choose_size

MARKER = "saved_model.pb"


class SavedModel:
    """Callable like a Keras model (export.graph.network.Network); `signature` is what tf.saved_model.save recorded."""

    def __init__(self, folder: Path, signature: str | None = None, output: str | None = None) -> None:
        """`signature` and `output` are names, needed where the folder has several. Raises ConversionError where it
        can't be opened, UsageError for a name that it doesn't have or that is missing, listing those that it has.
        """
        import tensorflow as tf

        self.name = folder.resolve().name
        try:
            # Kept for as long as the function is used: its variables belong to the object.
            self._loaded = tf.saved_model.load(str(folder))
        except Exception as error:  # TensorFlow raises errors of many kinds for damaged folders
            raise ConversionError(f"{folder} can't be loaded as a SavedModel: {reason(error)}") from error
        self._function = _choose_signature(self._loaded, folder, signature)
        self._input, self._spec = _read_input(self._function, self.name)
        outputs = self._function.structured_outputs
        names = ", ".join(sorted(outputs))
        if output is not None and output not in outputs:
            raise UsageError(f"--output {output}: {self.name} has no output of that name; there are {names}")
        if output is None and len(outputs) != 1:
            raise ConversionError(
                f"{self.name} gives {len(outputs)} outputs ({names}): name the classifier's with --output, or another "
                "signature with --signature; detection and segmentation networks can't be served"
            )
        self._output = output or next(iter(outputs))

    @property
    def batch(self) -> int | None:
        """The one batch size that the signature takes; None: any."""
        batch: int | None = self._spec.shape[0]
        return batch

    @property
    def output_shape(self) -> tuple[int | None, ...]:
        """Batch and classes, as far as the signature tells."""
        shape = self._function.structured_outputs[self._output].shape
        return () if shape.rank is None else tuple(shape)

    @property
    def computes_in_float16(self) -> bool:
        """Whether any operation of the signature works in float16."""
        import tensorflow as tf

        graph = self._function.graph.as_graph_def()
        nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
        return any(part.type == tf.float16.as_datatype_enum for node in nodes for part in node.attr.values())

    @property
    def parameters(self) -> int:
        """Trainable ones, as far as the folder tells them apart."""
        variables = getattr(self._loaded, "trainable_variables", None) or self._function.trainable_variables
        return sum(int(np.prod(variable.shape)) for variable in variables)

    def input_shape(self, size: tuple[int, int] | None) -> tuple[int, int, int]:
        """Height, width and channels. Raises ConversionError where the signature doesn't take images."""
        shape = tuple(self._spec.shape) if self._spec.shape.rank in (3, 4) else ()
        if self._plane:
            shape = (*shape, 1)
        if not shape or shape[3] not in (1, 3):
            raise ConversionError(
                f"{self.name} takes {self._spec.shape}: an image classifier takes [batch, height, width, 1 or 3]"
            )
        return choose_size(self.name, shape[1], shape[2], shape[3], size)

    @property
    def _plane(self) -> bool:
        """Whether it reads gray images without a channel axis."""
        return bool(self._spec.shape.rank == 3 and 3 not in (self._spec.shape[0], self._spec.shape[2]))

    def __call__(self, pixels: npt.NDArray[np.float32] | Any, training: bool = False) -> Any:
        """Prepared float32 [n, h, w, c] to outputs [n, ...] as the signature gives them, one tensor."""
        import tensorflow as tf

        tensor = tf.cast(pixels, self._spec.dtype)
        if self._plane and tensor.shape.rank == 4:
            tensor = tf.squeeze(tensor, -1)
        if self.batch is None or tensor.shape[0] in (None, self.batch):
            return self._function(**{self._input: tensor})[self._output]
        rows = [self(part) for part in _split(tensor, self.batch)]
        return tf.concat(rows, axis=0)[: tensor.shape[0]]


def _split(tensor: Any, size: int) -> list[Any]:
    """Parts of exactly `size` rows, the last one filled up with its own last row."""
    import tensorflow as tf

    missing = -tensor.shape[0] % size
    filled = tf.concat([tensor, tf.repeat(tensor[-1:], missing, axis=0)], axis=0)
    return [filled[start : start + size] for start in range(0, filled.shape[0], size)]


def _choose_signature(loaded: Any, folder: Path, name: str | None) -> Any:
    signatures = dict(loaded.signatures)
    wanted = name or "serving_default"
    if wanted not in signatures:
        there = ", ".join(sorted(signatures)) or "none: save the model again with model.export(folder)"
        raise UsageError(f"{folder} has no signature {wanted!r}: name one with --signature; there are {there}")
    return signatures[wanted]


def _read_input(function: Any, name: str) -> tuple[str, Any]:
    _, inputs = function.structured_input_signature
    if len(inputs) != 1:
        raise ConversionError(f"{name} takes {len(inputs)} tensors ({', '.join(inputs)}): an image classifier one")
    ((key, spec),) = inputs.items()
    if spec.shape.rank is None or (not spec.dtype.is_floating and not spec.dtype.is_integer):
        raise ConversionError(
            f"{name} takes {spec.dtype.name} {spec.shape}: only pixels can be given, name another with --signature"
        )
    return key, spec
