"""What ONNX Runtime runs is taken, in whatever form it reads pixels and gives classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from artifact.card import read_card
from export.cli.main import main
from export.data.samples import decode_samples
from export.proof import runtime
from export.sources.proof_images import bundled_images

FLOAT = {np.dtype("float16"): TensorProto.FLOAT16, np.dtype("float64"): TensorProto.DOUBLE}


def write_form(
    path: Path,
    *,
    last: list[tuple[str, list[str], dict[str, Any]]],
    classes: int = 3,
    shape: list[Any] | None = None,
    dtype: str = "float32",
    batch: int | str = "n",
    opset: int = 17,
    gray: bool = False,
    shuffled: bool = False,
) -> Path:
    """A network of one matrix: the pixels' mean (of each half of the rows where gray) times weights, then `last`.

    `last` are the nodes behind `z` [n, classes]; each gives the next one's `it`, the last one gives `y`.
    """
    generator = np.random.default_rng(0)
    kind = FLOAT.get(np.dtype(dtype), TensorProto.FLOAT)
    features = 8 if gray else 3
    constants = {
        "w": generator.normal(size=(features, classes)).astype(dtype) * (0.5 if gray else 2),
        "to4": np.int64([0, classes, 1, 1]),
        "to4last": np.int64([0, 1, 1, classes]),
        "to1": np.int64([-1]),
        "scale": np.array(1, dtype),
    }
    first = [helper.make_node("ReduceMean", ["x"], ["m"], axes=[1] if gray else [2, 3], keepdims=0)]
    nodes = [*first, helper.make_node("MatMul", ["m", "w"], ["z"])]
    current = "z"
    for index, (operator, more, options) in enumerate(last):
        result = "y" if index == len(last) - 1 else f"step{index}"
        nodes.append(helper.make_node(operator, [current, *more], [result], **options))
        current = result
    graph = helper.make_graph(
        nodes[::-1] if shuffled else nodes,
        "g",
        [helper.make_tensor_value_info("x", kind, [batch, 8, 8] if gray else [batch, 3, 8, 8])],
        [helper.make_tensor_value_info("y", kind, shape)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    if shuffled:
        graph.name = ""
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8), path)
    return path


SAME = [("Mul", ["scale"], {})]
FORMS: dict[str, tuple[dict[str, Any], str]] = {
    "symbolic class axis": ({"last": SAME, "shape": ["n", "classes"]}, "logits"),
    "no shape at all": ({"last": SAME}, "logits"),
    "[n, c, 1, 1]": ({"last": [("Reshape", ["to4"], {})], "shape": ["n", 3, 1, 1]}, "logits"),
    "[n, c, 1, 1] with softmax": ({"last": [("Reshape", ["to4"], {}), ("Softmax", [], {"axis": 1})]}, "softmax"),
    "[n, c, 1, 1] with softmax of opset 11": (
        {"last": [("Reshape", ["to4"], {}), ("Softmax", [], {"axis": 1})], "opset": 11},
        "softmax",
    ),
    "[n, 1, 1, c] with softmax": ({"last": [("Reshape", ["to4last"], {}), ("Softmax", [], {"axis": -1})]}, "softmax"),
    "[n, c, 1, 1] with sigmoids": ({"last": [("Reshape", ["to4"], {}), ("Sigmoid", [], {})]}, "multilabel"),
    "[n]": ({"last": [("Sigmoid", [], {}), ("Reshape", ["to1"], {})], "classes": 1, "shape": ["n"]}, "sigmoid"),
    "[c] of a batch of one": ({"last": [("Reshape", ["to1"], {})], "shape": [3], "batch": 1}, "logits"),
    "float16": ({"last": [("Softmax", [], {})], "dtype": "float16"}, "softmax"),
    "float64": ({"last": [("Softmax", [], {})], "dtype": "float64", "shape": ["n", 3]}, "softmax"),
    "without a channel axis": ({"last": SAME, "gray": True}, "logits"),
    "float64 without a channel axis": ({"last": SAME, "gray": True, "dtype": "float64"}, "logits"),
    "unsorted and without a name": ({"last": [("Softmax", [], {})], "shuffled": True}, "softmax"),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_served_as_the_file_answers(form: str, tmp_path: Path) -> None:
    options, head = FORMS[form]
    file = write_form(tmp_path / "net.onnx", **options)
    classes = 2 if options.get("classes") == 1 else 3
    (tmp_path / "labels.txt").write_text("\n".join("abc"[:classes]))
    words = ["--labels", str(tmp_path / "labels.txt"), "--preprocessing", "unit", "--name", "mine"]
    assert main(["adopt", str(file), *words, "--repository", str(tmp_path / "repository")]) == 0
    folder = tmp_path / "repository/mine/1"
    card = read_card(folder)
    gray = options.get("gray", False)
    assert (card.head, card.image.shape) == (head, (8, 8, 1 if gray else 3))

    pixels = decode_samples(bundled_images(1 if gray else 3).samples, range(5), card.image)
    prepared = (pixels / 255).transpose(0, 3, 1, 2).astype(options.get("dtype", "float32"))
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    rows = [session.run(None, {"x": (row[0] if gray else row)[None]})[0].reshape(-1) for row in prepared]
    expected = np.asarray(rows, np.float64)
    if head == "logits":
        expected = np.exp(expected) / np.exp(expected).sum(axis=1, keepdims=True)
    if head == "sigmoid":
        expected = np.concatenate([1 - expected, expected], axis=1)
    served = runtime.run_graph(runtime.open_session(str(folder / "model.onnx")), pixels, card.max_batch)
    np.testing.assert_allclose(served.probabilities, expected, atol=1e-5 if options.get("dtype") != "float16" else 2e-3)
    assert np.ptp(expected, axis=0).max() > 0.01


def test_what_onnx_runtime_cannot_run_is_refused_with_its_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = numpy_helper.from_array(np.zeros((3, 3, 3, 3)), "w")
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["c"]), helper.make_node("GlobalAveragePool", ["c"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.DOUBLE, ["n", 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.DOUBLE, ["n", 3, 1, 1])],
        [weights],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "n.onnx")
    (tmp_path / "labels.txt").write_text("a\nb\nc")
    words = ["--labels", str(tmp_path / "labels.txt"), "--preprocessing", "unit", "--repository", str(tmp_path / "r")]
    assert main(["adopt", str(tmp_path / "n.onnx"), *words]) == 1
    (line,) = capsys.readouterr().err.splitlines()[-1:]
    assert "can't be loaded by ONNX Runtime" in line
    assert "Could not find an implementation for Conv" in line
