"""fp16 and int8: models of their own, held to a budget of accuracy."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from fastapi.testclient import TestClient

from app.main import create_app
from app.settings import Settings
from artifact.card import read_card
from artifact.figures.precision import Precision
from export.cli.main import main
from export.data.samples import ArraySamples
from export.errors import ProofError
from export.proof.own_outputs import network_outputs
from export.proof.precision.lowering import Lowering
from export.publish.pipeline import convert
from export.sources.source import ProofImages, Source

SLOWER = Lowering(allow_slower=True)
"""Of networks as tiny as these nobody knows whether int8 is faster."""


def labeled(source: Source) -> Source:
    """The same with known classes, the network's own answers where it is sure, and images to calibrate on."""
    samples = source.images.samples
    pixels = samples.pixels(np.arange(len(samples)), source.provenance.image)
    outputs = network_outputs(source.model, pixels, source.provenance.preprocessing)
    ranked = np.sort(outputs, axis=1)
    sure = np.flatnonzero(ranked[:, -1] - ranked[:, -2] > 0.1)
    assert len(sure) >= 10
    known = ArraySamples(samples.images[sure], outputs.argmax(axis=1)[sure])
    return replace(source, images=ProofImages(known, "color blobs", "blobs", known))


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_a_lower_precision_is_a_model_of_its_own(color_source: Source, tmp_path: Path, precision: Precision) -> None:
    folder = convert(labeled(color_source), tmp_path, precision, lowering=SLOWER)
    assert folder == tmp_path / f"blobs-{precision}/1"
    card = read_card(folder)
    report = card.precision_report
    assert report is not None
    assert (card.precision, report.measure, report.images) == (precision, "accuracy", card.proof.images)
    assert report.top1 >= report.fp32_top1 - report.budget
    assert report.ms > 0
    assert report.fp32_ms > 0
    assert 0 < report.max_abs_difference < 0.1
    assert card.replay.cpu >= 3 * report.max_abs_difference
    assert card.proof.abs_tolerance >= 3 * card.proof.max_abs_difference
    graph = onnx.load(folder / "model.onnx").graph
    assert [value.type.tensor_type.elem_type for value in graph.input] == [onnx.TensorProto.UINT8]
    assert {value.type.tensor_type.elem_type for value in graph.output} == {onnx.TensorProto.FLOAT}
    kinds = {tensor.data_type for tensor in graph.initializer}
    assert (onnx.TensorProto.FLOAT16 if precision == "fp16" else onnx.TensorProto.INT8) in kinds
    assert main(["verify", f"blobs-{precision}", "--repository", str(tmp_path)]) == 0


def test_int8_quantizes_weights_by_channel(color_source: Source, tmp_path: Path) -> None:
    graph = onnx.load(convert(labeled(color_source), tmp_path, "int8", lowering=SLOWER) / "model.onnx").graph
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    kernels = [tensor for tensor in tensors.values() if list(tensor.dims) == [8, 6, 3, 3]]
    assert [tensor.data_type for tensor in kernels] == [onnx.TensorProto.INT8]
    (use,) = [node for node in graph.node if kernels[0].name in node.input]
    assert use.op_type == "DequantizeLinear"
    assert list(tensors[use.input[1]].dims) == [8]


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_a_precision_that_costs_too_much_is_refused(color_source: Source, tmp_path: Path, precision: Precision) -> None:
    with pytest.raises(ProofError, match=rf"{precision} falls from 100\.00% to .* top-1 .*--budget POINTS allows more"):
        convert(labeled(color_source), tmp_path, precision, lowering=Lowering(budget=-0.01))
    assert not list(tmp_path.iterdir())


def test_int8_that_is_slower_than_fp32_is_published_only_where_that_is_asked_for(
    color_source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("export.proof.precision.lowering.compare_speed", lambda *_: [1.0, 2.0])
    with pytest.raises(ProofError, match=r"slower than fp32 on this CPU, 2\.00 ms a batch of 8 beside 1\.00.*--allow-"):
        convert(labeled(color_source), tmp_path, "int8")
    assert not list(tmp_path.iterdir())
    report = read_card(convert(labeled(color_source), tmp_path, "int8", lowering=SLOWER)).precision_report
    assert report is not None
    assert (report.fp32_ms, report.ms) == (1, 2)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--budget", "1"], "--budget is for a lower precision"),
        (["--precision", "fp16", "--calibration", "entropy"], "--calibration is for int8"),
        (["--precision", "fp16", "--allow-slower"], "--allow-slower is for int8"),
        (["--precision", "int8", "--budget", "-1"], "is not a number of percentage points"),
    ],
)
def test_words_that_would_do_nothing_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], complaint: str
) -> None:
    try:
        status = main(["convert", "lenet5", "--repository", str(tmp_path), *words])
    except SystemExit as error:  # argparse's own way
        status = int(error.code or 0)
    assert status == 2
    assert complaint in capsys.readouterr().err


def test_without_known_classes_agreement_with_fp32_is_measured(color_source: Source, tmp_path: Path) -> None:
    report = read_card(convert(color_source, tmp_path, "fp16")).precision_report
    assert report is not None
    assert (report.measure, report.fp32_top1) == ("agreement", 1)


def test_int8_without_images_is_refused_before_any_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", "lenet5", "--precision", "int8", "--repository", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert "name some with --dataset or --images" in error
    assert "converting" not in error


def test_an_int8_model_is_replayed_and_served(built: Path, tmp_path: Path) -> None:
    run = next((built / "runs").iterdir())
    assert main(["convert", str(run), "--precision", "int8", "--allow-slower", "--repository", str(tmp_path)]) == 0
    with TestClient(create_app(Settings(repository=tmp_path))) as client:
        deadline = time.monotonic() + 60
        while client.get("/health/ready").status_code != 200:
            assert time.monotonic() < deadline, client.get("/models").text
            time.sleep(0.05)
        image = next((tmp_path / "lenet5-digits-int8/1/golden").glob("*.png")).read_bytes()
        answer = client.post("/predict/lenet5-digits-int8", content=image, headers={"Content-Type": "image/png"})
        assert answer.status_code == 200


def test_fp16_leaves_pixel_arithmetic_and_head_in_float32(color_source: Source, tmp_path: Path) -> None:
    graph = onnx.load(convert(color_source, tmp_path, "fp16") / "model.onnx").graph
    casts = [node for node in graph.node if node.op_type == "Cast"]
    # uint8 to float32; into float16; the logits and the features back out of it
    assert len(casts) == 4
    makers = {node.output[0]: node.op_type for node in graph.node}
    assert makers["probabilities"] == "Softmax"
    assert makers["energy"] == "ReduceLogSumExp"
