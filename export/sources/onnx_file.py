"""A foreign ONNX file, made ready for finish_graph: one file, one input of pixels, one row of numbers out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import TensorProto, helper

from export.errors import ConversionError, UsageError, reason
from export.graph.batch_dimension import fixed_batch
from export.graph.edits import producer, see_through
from export.graph.finish import Layout
from export.graph.head import output_width

OLDEST_OPSET = 11
# Below 4 every constant must be an input, too; 8 is the first version of opset 17, which the other graphs have.
IR_VERSION = 8


class OnnxFile:
    """The untouched file in ONNX Runtime, called with prepared NHWC pixels. Cf. export.graph.network.Network."""

    def __init__(self, file: Path, layout: Layout, batch: int | None) -> None:
        self.name, self._layout, self._batch = file.stem, layout, batch
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        try:
            self._session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's exceptions share no public class
            raise ConversionError(f"{file} can't be loaded by ONNX Runtime: {reason(error)}") from error

    def __call__(self, pixels: npt.NDArray[np.float32], training: bool = False) -> Any:
        """float32 [n, h, w, c] to outputs [n, k]; a fixed batch is filled up with the last row."""
        size = self._batch or len(pixels)
        arranged = pixels.transpose(0, 3, 1, 2) if self._layout == "nchw" else pixels
        parts = []
        for start in range(0, len(arranged), size):
            part = arranged[start : start + size]
            filled = np.concatenate([part, np.repeat(part[-1:], size - len(part), axis=0)])
            (outputs,) = self._session.run(None, {self._session.get_inputs()[0].name: np.ascontiguousarray(filled)})
            parts.append(outputs.reshape(size, -1)[: len(part)])
        return np.concatenate(parts)


def read_onnx(file: Path) -> onnx.ModelProto:
    """The file with its external data inside, its constants no inputs, its output [batch, classes], checked.

    Raises ConversionError where it is no ONNX file, damaged, too old, or no classifier of float images.
    """
    try:
        model = onnx.load(file)  # external data is looked for beside the file
        onnx.checker.check_model(file, full_check=False)
    except FileNotFoundError as error:
        missing = Path(error.filename).name if error.filename else "a file of external data"
        raise ConversionError(f"{file}: {missing} does not exist: lay it beside the model") from error
    except Exception as error:  # protobuf and the checker raise errors of many kinds
        raise ConversionError(f"{file} is no valid ONNX file: {reason(error)}") from error
    opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 0)
    if opset < OLDEST_OPSET:
        raise ConversionError(
            f"{file} uses opset {opset}, {OLDEST_OPSET} is the oldest supported: export the network again, or convert "
            "the file with onnx.version_converter"
        )
    graph = model.graph
    constants = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in constants]
    del graph.input[:]
    graph.input.extend(inputs)
    if len(inputs) != 1:
        names = ", ".join(value.name for value in inputs)
        raise ConversionError(f"{file} has {len(inputs)} inputs ({names}): an image classifier has one")
    if inputs[0].type.tensor_type.elem_type != TensorProto.FLOAT:
        kind = TensorProto.DataType.Name(inputs[0].type.tensor_type.elem_type).lower()
        raise ConversionError(f"{file} reads {kind}: adopt takes networks of float32 pixels, export it in float32")
    model.ir_version = max(model.ir_version, IR_VERSION)
    _infer_output(model, file)
    _squeeze_output(model)
    output_width(model)
    return model


def read_layout(model: onnx.ModelProto, size: tuple[int, int] | None) -> tuple[Layout, tuple[int, int, int]]:
    """NCHW or NHWC, and height, width and channels. Raises ConversionError or UsageError where that can't be read."""
    value = model.graph.input[0]
    dims = [dim.dim_value if dim.dim_value > 0 else None for dim in value.type.tensor_type.shape.dim]
    shown = " x ".join(str(dim or "?") for dim in dims)
    if len(dims) != 4 or (dims[1] not in (1, 3) and dims[3] not in (1, 3)):
        raise ConversionError(f"the network reads [{shown}]: an image classifier reads [batch, 1 or 3, height, width]")
    layout: Layout = "nchw" if dims[1] in (1, 3) else "nhwc"
    _, *rest = dims
    channels = rest.pop(0) if layout == "nchw" else rest.pop()
    height, width = rest
    if size is not None:
        if (height or size[0], width or size[1]) != size:
            raise UsageError(f"--size {size[0]}x{size[1]}: the network reads {height}x{width} and no other size")
        height, width = size
    if height is None or width is None:
        raise UsageError(f"the network reads images of any size ([{shown}]): say the one to serve with --size HxW")
    assert channels is not None
    return layout, (height, width, channels)


def count_weights(model: onnx.ModelProto) -> int:
    """Numbers in float constants: ONNX doesn't say which of them were trained."""
    floats = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE)
    return sum(int(np.prod(tensor.dims)) for tensor in model.graph.initializer if tensor.data_type in floats)


def _infer_output(model: onnx.ModelProto, file: Path) -> None:
    """Some exporters leave the output's shape open: fill it in by shape inference, else by one run."""
    if len(model.graph.output) != 1:
        return  # output_width says it
    (output,) = model.graph.output
    shape = output.type.tensor_type.shape.dim
    if len(shape) >= 2 and shape[1].dim_value:
        return
    inferred = onnx.shape_inference.infer_shapes(model).graph.output[0]
    if len(inferred.type.tensor_type.shape.dim) >= 2 and inferred.type.tensor_type.shape.dim[1].dim_value:
        output.CopyFrom(inferred)


def _squeeze_output(model: onnx.ModelProto) -> None:
    """[batch, classes, 1, 1], as fully convolutional classifiers give it, to [batch, classes]."""
    if len(model.graph.output) != 1:
        return
    (output,) = model.graph.output
    dims = output.type.tensor_type.shape.dim
    if len(dims) != 4 or dims[2].dim_value != 1 or dims[3].dim_value != 1:
        return
    batch = fixed_batch(model)
    name = output.name
    closing = producer(model.graph, see_through(model.graph, name))
    if closing is not None and closing.op_type in ("Softmax", "Sigmoid"):
        raise ConversionError(
            f"the network ends in {closing.op_type} over [batch, classes, 1, 1]: export it with its logits flattened"
        )
    flat = f"{name}/flat"
    model.graph.node.append(helper.make_node("Flatten", [name], [flat], axis=1))
    del model.graph.output[:]
    rows = batch if batch is not None else "batch"
    model.graph.output.append(helper.make_tensor_value_info(flat, TensorProto.FLOAT, [rows, dims[1].dim_value]))
