"""Somebody's ONNX file, as PyTorch and others write them, from one command to a proved artifact."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

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

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
TORCHVISION = ["--mean", "0.485,0.456,0.406", "--std", "0.229,0.224,0.225"]


def write_network(
    path: Path,
    *,
    opset: int = 17,
    layout: str = "nchw",
    batch: int | str = "batch",
    head: str = "logits",
    flatten: str = "Flatten",
    ir_version: int = 8,
    external: bool = False,
) -> Path:
    """A convolutional classifier of three classes as torch.onnx.export writes one: Gemm with transB, raw logits."""
    generator = np.random.default_rng(0)
    weights = {
        "conv.weight": generator.normal(size=(6, 3, 3, 3)).astype(np.float32),
        "conv.bias": generator.normal(size=6).astype(np.float32),
        "fc.weight": generator.normal(size=(3, 6)).astype(np.float32),
        "fc.bias": generator.normal(size=3).astype(np.float32),
        "shape": np.int64([batch if isinstance(batch, int) else 0, -1]),
    }
    pixels = [3, 16, 16] if layout == "nchw" else [16, 16, 3]
    nodes = [helper.make_node("Transpose", ["input"], ["nchw"], perm=[0, 3, 1, 2])] if layout == "nhwc" else []
    nodes += [
        helper.make_node("Conv", ["nchw" if nodes else "input", "conv.weight", "conv.bias"], ["conv"]),
        helper.make_node("Relu", ["conv"], ["relu"]),
        helper.make_node("GlobalAveragePool", ["relu"], ["pool"]),
        helper.make_node("Flatten", ["pool"], ["flat"], axis=1)
        if flatten == "Flatten"
        else helper.make_node("Reshape", ["pool", "shape"], ["flat"]),
        helper.make_node("Gemm", ["flat", "fc.weight", "fc.bias"], ["last"], transB=1),
    ]
    if flatten == "Flatten":
        del weights["shape"]
    if head == "softmax":
        nodes.append(helper.make_node("Softmax", ["last"], ["output"], axis=1))
    else:
        nodes.append(helper.make_node("Identity", ["last"], ["output"]))
    inputs = [helper.make_tensor_value_info("input", TensorProto.FLOAT, [batch, *pixels])]
    if ir_version < 4:
        inputs += [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
            for name, array in weights.items()
        ]
    graph = helper.make_graph(
        nodes,
        "torch_jit",
        inputs,
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [batch, 3])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir_version)
    onnx.save(model, path, save_as_external_data=external, location="weights.bin", size_threshold=0)
    return path


@pytest.fixture
def labels(tmp_path: Path) -> str:
    path = tmp_path / "labels.txt"
    path.write_text("cat\ndog\nbird\n")
    return str(path)


def adopt(file: Path, tmp_path: Path, *options: str) -> int:
    return main(["adopt", str(file), "--name", "mine", "--repository", str(tmp_path / "repository"), *options])


def last_error(capsys: pytest.CaptureFixture[str]) -> str:
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("convserve-export:")]
    assert len(lines) == 1
    return lines[0]


CASES = {
    "opset 7": {"opset": 7, "ir_version": 3},
    "opset 8": {"opset": 8, "ir_version": 3, "head": "softmax"},
    "opset 9": {"opset": 9, "ir_version": 4},
    "opset 10": {"opset": 10, "ir_version": 5, "batch": 1, "flatten": "Reshape"},
    "opset 11": {"opset": 11, "ir_version": 6},
    "constants as inputs": {"opset": 11, "ir_version": 3},
    "opset 13": {"opset": 13},
    "opset 18": {"opset": 18},
    "opset 21": {"opset": 21, "ir_version": 10},
    "channels last": {"layout": "nhwc"},
    "softmax": {"head": "softmax"},
    "softmax of opset 11": {"head": "softmax", "opset": 11, "ir_version": 6},
    "batch of 1": {"batch": 1},
    "batch of 1 in a reshape": {"batch": 1, "flatten": "Reshape"},
    "batch of 4 in a reshape": {"batch": 4, "flatten": "Reshape"},
    "external data": {"external": True},
}


@pytest.mark.parametrize("case", CASES)
def test_the_artifact_answers_what_the_file_answers(case: str, tmp_path: Path, labels: str) -> None:
    file = write_network(tmp_path / "net.onnx", **CASES[case])
    assert adopt(file, tmp_path, "--labels", labels, *TORCHVISION) == 0
    folder = tmp_path / "repository/mine/1"
    card = read_card(folder)
    assert (card.network.origin, card.preprocessing.name, card.max_batch) == ("onnx-file", "custom", 32)
    assert (card.energy, card.features) == (True, True)
    assert card.head == ("softmax" if CASES[case].get("head") == "softmax" else "logits")
    assert [path.name for path in folder.iterdir() if path.suffix in (".bin", ".data")] == []

    reference = onnxruntime.InferenceSession(write_network(tmp_path / "plain.onnx", head="softmax"))
    pixels = decode_samples(bundled_images(3).samples, range(5), card.image)
    prepared = ((pixels / np.float32(255) - np.float32(MEAN)) / np.float32(STD)).transpose(0, 3, 1, 2)
    (expected,) = reference.run(None, {"input": prepared.astype(np.float32)})
    outputs = runtime.run_graph(runtime.open_session(str(folder / "model.onnx")), pixels)
    np.testing.assert_allclose(outputs.probabilities, expected, atol=1e-5)
    assert main(["verify", "mine", "--repository", str(tmp_path / "repository")]) == 0


def bound_network(path: Path, batch: int) -> Path:
    """A network that adds a table with one row for each of `batch` images: no other number of them will do."""
    model = onnx.load(write_network(path, batch=batch))
    model.graph.node[-1].op_type = "Add"
    model.graph.node[-1].input.append("table")
    table = np.zeros((batch, 1), np.float32)
    model.graph.initializer.append(numpy_helper.from_array(table, "table"))
    onnx.save(model, path)
    return path


@pytest.mark.parametrize("batch", [2, 4])
def test_a_batch_that_cannot_be_freed_is_kept_and_filled_up(tmp_path: Path, labels: str, batch: int) -> None:
    file = bound_network(tmp_path / "net.onnx", batch)
    assert adopt(file, tmp_path, "--labels", labels, *TORCHVISION) == 0
    card = read_card(tmp_path / "repository/mine/1")
    assert card.max_batch == batch
    assert card.proof.batch_sizes == (1, batch)
    assert f"max_batch_size: {batch}" in (tmp_path / "repository/mine/config.pbtxt").read_text()
    assert main(["verify", "mine", "--repository", str(tmp_path / "repository")]) == 0


def test_adopting_loads_neither_tensorflow_nor_keras(tmp_path: Path, labels: str) -> None:
    file = write_network(tmp_path / "net.onnx")
    words = ["adopt", str(file), "--labels", labels, *TORCHVISION, "--repository", str(tmp_path / "repository")]
    code = (
        "import sys\nfrom export.cli.main import main\n"
        f"assert main({words!r}) == 0\n"
        "print(*{'tensorflow', 'keras', 'tf2onnx'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
    assert (tmp_path / "repository/net/1/card.json").exists()


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (TORCHVISION, "--labels is missing"),
        (["--labels", "LABELS"], "--mean R,G,B --std R,G,B"),
        (["--labels", "LABELS", "--preprocessing", "torch", *TORCHVISION], "either --mean"),
        (["--labels", "LABELS", "--mean", "0.5"], "has 1 numbers, the network reads 3 channels"),
        (["--labels", "LABELS", "--std", "0,1,1"], "deviations are above 0"),
        (
            ["--labels", "LABELS", "--mean", "123,116,103"],
            "can't exceed 1: numbers in units of 0..255 are divided by 255",
        ),
        (["--labels", "LABELS", "--mean", "0.5,0.5,0.5", "--std", "58,57,57"], "can't exceed 2: numbers in units of 0"),
        (["--labels", "LABELS", "--mean", "nan,0,0"], "can't exceed 1"),
        (["--labels", "imagenet", *TORCHVISION], "1,000 labels for 3 classes"),
        (["--labels", "LABELS", *TORCHVISION, "--size", "20x20"], "reads 16x16 and no other size"),
        (["--labels", "LABELS", *TORCHVISION, "--head", "softmax"], "use --head logits"),
        (["--labels", "LABELS", *TORCHVISION, "--name", "my net"], "a model's name is part of an address"),
    ],
)
def test_what_is_missing_or_wrong_is_said_in_one_line(
    tmp_path: Path, labels: str, capsys: pytest.CaptureFixture[str], options: list[str], complaint: str
) -> None:
    file = write_network(tmp_path / "net.onnx")
    assert adopt(file, tmp_path, *[labels if word == "LABELS" else word for word in options]) in (1, 2)
    assert complaint in last_error(capsys)
    assert not (tmp_path / "repository/mine").exists()


def test_a_preset_fills_the_options_in(tmp_path: Path, labels: str, capsys: pytest.CaptureFixture[str]) -> None:
    file, preset = write_network(tmp_path / "net.onnx"), tmp_path / "config.json"
    preset.write_text('{"pretrained_cfg": {"input_size": [3, 16, 16], "crop_pct": 0.9, "interpolation": "bicubic"}}')
    assert adopt(file, tmp_path, "--labels", labels, "--like", f"timm:{preset}") == 0
    assert "--size 16x16 --resize antialias-bicubic --fit crop --crop-fraction 0.9" in capsys.readouterr().err
    card = read_card(tmp_path / "repository/mine/1")
    assert (card.image.resize, card.image.fit, card.image.crop_fraction) == ("antialias-bicubic", "crop", 0.9)
    assert card.preprocessing.name == "torch"


def test_a_mean_alone_is_taken_with_a_deviation_of_1_and_that_is_said(
    tmp_path: Path, labels: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_network(tmp_path / "net.onnx")
    assert adopt(file, tmp_path, "--labels", labels, "--mean", "0.5,0.5,0.5") == 0
    assert "--std is not given: 1 is assumed" in capsys.readouterr().err
    assert read_card(tmp_path / "repository/mine/1").preprocessing.std == (255, 255, 255)


def test_files_that_are_no_classifier_are_named(
    tmp_path: Path, labels: str, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--labels", labels, *TORCHVISION]
    file = tmp_path / "net.onnx"
    file.write_bytes(b"hello")
    assert adopt(file, tmp_path, *options) == 1
    assert "not a valid ONNX file" in last_error(capsys)
    write_network(file, opset=6, ir_version=3)
    assert adopt(file, tmp_path, *options) == 1
    assert "uses opset 6, 7 is the oldest" in last_error(capsys)
    write_network(file, external=True)
    (tmp_path / "weights.bin").unlink()
    assert adopt(file, tmp_path, *options) == 1
    assert "weights.bin" in last_error(capsys)
    model = onnx.load(write_network(file))
    model.graph.output.append(helper.make_tensor_value_info("relu", TensorProto.FLOAT, ["batch", 6, 14, 14]))
    onnx.save(model, file)
    assert adopt(file, tmp_path, *options) == 1
    assert "2 outputs (output, relu): name the classifier's with --output NAME" in last_error(capsys)
    assert adopt(file, tmp_path, *options, "--output", "logits") == 2
    assert "no output of that name; there are output, relu" in last_error(capsys)
    assert adopt(file, tmp_path, *options, "--output", "relu") == 1
    assert "[batch x 6 x 14 x 14], a classifier's has [batch, classes]" in last_error(capsys)
    assert adopt(file, tmp_path, *options, "--output", "output") == 0
