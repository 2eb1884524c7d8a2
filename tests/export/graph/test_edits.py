"""Graph edits see the bodies of If and Loop: a tensor that only a body reads is neither dropped nor left behind."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from export.errors import ConversionError
from export.graph.edits import drop_unused, find_inputs, rename, rename_conflicting_tensors, sort_nodes


def nested_model() -> onnx.ModelProto:
    """y = x + weight, said by an If inside an If: the inner bodies alone read x's double, `weight` and `doubled`."""
    value = helper.make_tensor_value_info

    def choose(name: str, condition: str, inner: list[onnx.NodeProto], result: str) -> onnx.NodeProto:
        branches = {
            f"{branch}_branch": helper.make_graph(
                [*inner, helper.make_node("Identity", [result], [f"{name}/{branch}"])],
                branch,
                [],
                [value(f"{name}/{branch}", TensorProto.FLOAT, None)],
            )
            for branch in ("then", "else")
        }
        return helper.make_node("If", [condition], [name], **branches)

    inner = choose("inner", "yes", [], "sum")
    outer = choose("y", "yes", [helper.make_node("Add", ["doubled", "weight"], ["sum"]), inner], "inner")
    graph = helper.make_graph(
        [outer, helper.make_node("Add", ["x", "x"], ["doubled"])],
        "",
        [value("x", TensorProto.FLOAT, ["n"])],
        [value("y", TensorProto.FLOAT, ["n"])],
        [
            numpy_helper.from_array(np.float32([5]), "weight"),
            numpy_helper.from_array(np.bool_(True), "yes"),
            numpy_helper.from_array(np.float32([7]), "unused"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def answer(model: onnx.ModelProto) -> float:
    model.graph.name = "g"
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return float(session.run(None, {session.get_inputs()[0].name: np.float32([1])})[0][0])


def test_a_node_reads_what_its_bodies_take_from_around_them() -> None:
    assert find_inputs(nested_model().graph.node[0]) == {"yes", "doubled", "weight"}


def test_edits_keep_a_graph_with_bodies_whole() -> None:
    model = nested_model()
    sort_nodes(model.graph)
    assert [node.op_type for node in model.graph.node] == ["Add", "If"]
    for old, new in (("doubled", "features"), ("weight", "w"), ("sum", "s"), ("x", "image"), ("y", "probabilities")):
        rename(model.graph, old, new)
    drop_unused(model.graph)
    assert {tensor.name for tensor in model.graph.initializer} == {"w", "yes"}
    assert answer(model) == 7


def test_names_of_ours_are_freed_inside_bodies_too_and_never_for_a_name_that_is_taken() -> None:
    model = nested_model()
    sort_nodes(model.graph)
    rename(model.graph, "sum", "features")
    rename(model.graph, "doubled", "network/features")
    rename(model.graph, "weight", "head/weight")
    rename_conflicting_tensors(model.graph, ("features",), ("head/",))
    assert "network/head/weight" in {tensor.name for tensor in model.graph.initializer}
    assert answer(model) == 7


def test_nodes_in_a_circle_are_said() -> None:
    model = nested_model()
    model.graph.node[1].input[0] = "y"
    with pytest.raises(ConversionError, match="has a cycle"):
        sort_nodes(model.graph)
