"""A foreign ONNX file, made ready to be settled and finished: one file, one input of pixels, one output."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx.inliner
import onnx.version_converter
import onnxruntime
from onnx import TensorProto, helper

from export.errors import ConversionError, UsageError, reason
from export.graph.batch_dimension import fixed_batch
from export.graph.edits import drop_unused, sort_nodes, walk_graphs
from export.graph.finish import Layout
from export.sources.source import refuse_pointer

# The least that the converter and ONNX Runtime know, and the least that is edited here.
OLDEST_OPSET, EDITED_OPSET = 7, 11
FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE)
# Below 4 every constant must be an input, too; 8 is the first version of opset 17, which the other graphs have.
IR_VERSION = 8


class OnnxFile:
    """The untouched file in ONNX Runtime, called with prepared NHWC pixels. Cf. export.graph.network.Network."""

    def __init__(self, file: Path, layout: Layout, network: onnx.ModelProto) -> None:
        """`network` is what read_onnx gave of the file: it says which input and output are meant."""
        (value,), (output,) = network.graph.input, network.graph.output
        self.name, self._layout, self._batch = file.stem, layout, fixed_batch(network)
        self._input, self._output = value.name, output.name
        self._plane = len(value.type.tensor_type.shape.dim) == 3
        self._kind = helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        try:
            self._session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's exceptions share no public class
            raise ConversionError(f"{file} can't be loaded by ONNX Runtime: {reason(error)}") from error

    def __call__(self, pixels: npt.NDArray[np.float32], training: bool = False) -> Any:
        """float32 [n, h, w, c] to outputs [n, ...] as the file gives them; a fixed batch is filled with the last row.

        Raises ConversionError where the file gives something else than a row for each image.
        """
        size = self._batch or len(pixels)
        arranged = pixels.transpose(0, 3, 1, 2) if self._layout == "nchw" else pixels
        if self._plane:
            arranged = arranged[..., 0]
        parts = []
        for start in range(0, len(arranged), size):
            part = arranged[start : start + size]
            filled = np.concatenate([part, np.repeat(part[-1:], size - len(part), axis=0)])
            (outputs,) = self._session.run([self._output], {self._input: np.ascontiguousarray(filled, self._kind)})
            outputs = np.asarray(outputs)
            if size == 1 and outputs.shape[:1] != (1,):
                outputs = outputs[None]  # squeezed with the batch of one
            if outputs.shape[:1] != (size,):
                raise ConversionError(
                    f"the network gives {outputs.shape} for {size} images: a classifier gives one row for each"
                )
            parts.append(outputs[: len(part)])
        return np.concatenate(parts)


def read_onnx(file: Path, output: str | None) -> onnx.ModelProto:
    """The file with its external data inside, its constants no inputs, of an opset that is edited here, checked.

    `output` chooses one of several. Raises ConversionError where it is no ONNX file, damaged, too old, or no classifier
    of float images.
    """
    try:
        model = onnx.load(file)  # external data is looked for beside the file
        # What ONNX Runtime doesn't mind, and the checker does.
        model.graph.name = model.graph.name or file.stem
        sort_nodes(model.graph)
        for value in model.graph.output:
            value.type.tensor_type.shape.SetInParent()
        model = onnx.inliner.inline_local_functions(model) if model.functions else model
        onnx.checker.check_model(model, full_check=False)
    except FileNotFoundError as error:
        missing = Path(error.filename).name if error.filename else "a file of external data"
        raise ConversionError(f"{file}: {missing} does not exist: put it beside the model") from error
    except Exception as error:  # protobuf and the checker raise errors of many kinds
        refuse_pointer(file)
        raise ConversionError(f"{file} is not a valid ONNX file: {reason(error)}") from error
    model = _raise_opset(model, file)
    graph = model.graph
    constants = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in constants]
    del graph.input[:]
    graph.input.extend(inputs)
    if len(inputs) != 1:
        names = ", ".join(value.name for value in inputs)
        raise ConversionError(f"{file} has {len(inputs)} inputs ({names}): an image classifier has one")
    if inputs[0].type.tensor_type.elem_type not in FLOATS:
        kind = TensorProto.DataType.Name(inputs[0].type.tensor_type.elem_type).lower()
        raise ConversionError(f"{file} reads {kind}: adopt takes networks of float pixels, export it in float32")
    chosen = [value for value in graph.output if output in (None, value.name)]
    if len(chosen) != 1:
        names = ", ".join(value.name for value in graph.output)
        if output is not None:
            raise UsageError(f"--output {output}: {file} has no output of that name; there are {names}")
        raise ConversionError(
            f"{file} has {len(chosen)} outputs ({names}): name the classifier's with --output NAME; detection networks "
            "can't be served"
        )
    del graph.output[:]
    graph.output.extend(chosen)
    drop_unused(graph)
    model.ir_version = max(model.ir_version, IR_VERSION)
    return model


def _raise_opset(model: onnx.ModelProto, file: Path) -> onnx.ModelProto:
    opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 0)
    if opset >= EDITED_OPSET:
        return model
    if opset < OLDEST_OPSET:
        raise ConversionError(f"{file} uses opset {opset}, {OLDEST_OPSET} is the oldest: export the network again")
    try:
        return onnx.version_converter.convert_version(model, EDITED_OPSET)
    except Exception as error:  # the converter raises errors of many kinds for operations that it doesn't know
        raise ConversionError(
            f"{file} uses opset {opset}, and onnx.version_converter can't convert it to "
            f"{EDITED_OPSET}: {reason(error)}; "
            "export the network again with a newer opset"
        ) from error


def read_layout(model: onnx.ModelProto, size: tuple[int, int] | None) -> tuple[Layout, tuple[int, int, int]]:
    """NCHW or NHWC, and height, width and channels. Raises ConversionError or UsageError where that can't be read."""
    value = model.graph.input[0]
    dims = [dim.dim_value if dim.dim_value > 0 else None for dim in value.type.tensor_type.shape.dim]
    shown = " x ".join(str(dim or "?") for dim in dims)
    if len(dims) == 3 and dims[0] != 3 and dims[2] != 3:  # gray, without a channel axis; else an image without a batch
        dims.append(1)
    if len(dims) == 4 and dims[1] is None and dims[3] is None:
        raise ConversionError(
            f"the network reads [{shown}]: neither of the axes that may hold the channels has a size; export it with "
            "their number, 1 or 3, in its input's shape"
        )
    if len(dims) != 4 or (dims[1] not in (1, 3) and dims[3] not in (1, 3)):
        raise ConversionError(f"the network reads [{shown}]: an image classifier reads [batch, 1 or 3, height, width]")
    layout: Layout = "nchw" if dims[1] in (1, 3) and len(value.type.tensor_type.shape.dim) == 4 else "nhwc"
    _, *rest = dims
    channels = rest.pop(0) if layout == "nchw" else rest.pop()
    height, width = rest
    if size is not None:
        if (height or size[0], width or size[1]) != size:
            raise UsageError(f"--size {size[0]}x{size[1]}: the network reads {height}x{width} and no other size")
        height, width = size
    if height is None or width is None:
        raise UsageError(f"the network reads images of any size ([{shown}]): choose the size to serve with --size HxW")
    assert channels is not None
    return layout, (height, width, channels)


def count_weights(model: onnx.ModelProto) -> int:
    """Numbers in float constants: ONNX doesn't say which of them were trained."""
    return sum(int(np.prod(tensor.dims)) for tensor in model.graph.initializer if tensor.data_type in FLOATS)


def computes_in_float16(model: onnx.ModelProto) -> bool:
    """Whether a network holds float16 weights."""
    return any(
        tensor.data_type == TensorProto.FLOAT16 for graph in walk_graphs(model.graph) for tensor in graph.initializer
    )
