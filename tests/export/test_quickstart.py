"""The whole way once: the embedded default, trained, converted, proved, served, and asked about drawn digits."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from fastapi.testclient import TestClient
from onnx import numpy_helper

from app.main import create_app
from app.settings import Settings
from artifact.card import read_card
from export.cli.main import main
from export.data.datasets import load_dataset
from export.publish.published import open_published
from export.publish.read_back import evaluate_published
from tests.makers.artifacts import sign


def ready(client: TestClient) -> bool:
    """Wait (a minute at most) until every model was tried."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        models = client.get("/models").json()["models"]
        if models and all(model["state"] != "loading" for model in models):
            return client.get("/health/ready").status_code == 200
        time.sleep(0.05)
    raise AssertionError("models are still loading after a minute")


def test_the_card_tells_the_whole_story(built: Path) -> None:
    card = read_card(built / "repository/lenet5-digits/1")
    assert card.network.parameters == 61_706
    assert card.training is not None
    assert card.training.dataset == "digits"
    assert card.evaluation is not None
    assert card.evaluation.images == card.proof.images == 360  # the proof covers the whole test set
    assert card.evaluation.top1 > 0.95
    assert card.proof.max_abs_difference < 1e-5
    assert card.calibration is not None
    assert card.score_quantiles is not None
    assert card.image.fit == "content"
    assert card.robustness is not None
    assert (card.robustness.images, card.robustness.top1) == (360, card.evaluation.top1)
    report = built / "repository/lenet5-digits/1/report"
    assert {path.name for path in report.iterdir()} == {
        "curves.png",
        "confusion.png",
        "reliability.png",
        "robustness.png",
        "metrics.json",
        "examples.json",
    }


def test_drawn_digits_posted_to_the_service_are_recognized(built: Path) -> None:
    drawn = load_dataset("drawn-digits", None).test
    with TestClient(create_app(Settings(repository=built / "repository"))) as client:
        assert ready(client)
        right = 0
        for index, label in enumerate(drawn.labels):
            answer = client.post(
                "/predict/lenet5-digits", content=drawn.encoded(index)[0], headers={"Content-Type": "image/png"}
            )
            assert answer.status_code == 200
            right += answer.json()["predictions"][0]["classes"][0]["index"] == label
    assert right >= 0.9 * 200


def test_one_changed_weight_is_refused_though_its_hash_was_changed_along(built: Path, tmp_path: Path) -> None:
    shutil.copytree(built / "repository/lenet5-digits", tmp_path / "changed")
    shutil.copytree(built / "repository/lenet5-digits", tmp_path / "whole")
    for name in ("changed", "whole"):
        folder = tmp_path / name / "1"
        model = onnx.load(folder / "model.onnx")
        if name == "changed":
            kernel = next(tensor for tensor in model.graph.initializer if list(tensor.dims) == [6, 1, 5, 5])
            values = numpy_helper.to_array(kernel).copy()
            values[0, 0, 2, 2] += 0.1
            kernel.CopyFrom(numpy_helper.from_array(values, kernel.name))
        (folder / "model.onnx").write_bytes(model.SerializeToString())
        sign(folder, name=name)
    with TestClient(create_app(Settings(repository=tmp_path))) as client:
        assert ready(client)
        states = {model["name"]: model for model in client.get("/models").json()["models"]}
        assert states["whole"]["state"] == "loaded"
        assert states["changed"]["state"] == "refused"
        assert "golden replay" in states["changed"]["versions"][0]["reason"]


def test_building_again_does_nothing_where_the_model_is_there(built: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build", "quickstart", "--if-missing", "--repository", str(built / "repository")]) == 0
    assert "already has lenet5-digits" in capsys.readouterr().err
    assert [path.name for path in (built / "repository/lenet5-digits").glob("[0-9]*")] == ["1"]


def test_evaluate_and_verify_speak_for_the_artifact(built: Path, capsys: pytest.CaptureFixture[str]) -> None:
    repository = str(built / "repository")
    assert main(["verify", "lenet5-digits", "--repository", repository]) == 0
    assert "sha256 right, 8 golden images" in capsys.readouterr().out
    assert main(["evaluate", "lenet5-digits", "--dataset", "drawn-digits", "--repository", repository]) == 0
    assert "on 200 drawn-digits test images: top-1 9" in capsys.readouterr().out


def test_evaluate_names_damaged_images_and_goes_on_without_them_when_told(
    built: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    samples = load_dataset("drawn-digits", None).test
    for index, label in enumerate(samples.labels.tolist()):
        (tmp_path / str(label)).mkdir(exist_ok=True)
        (tmp_path / str(label) / f"{index}.png").write_bytes(samples.encoded(index)[0])
    (tmp_path / "3" / "torn.png").write_bytes(samples.encoded(0)[0][:50])
    words = ["evaluate", "lenet5-digits", "--dataset", str(tmp_path), "--repository", str(built / "repository")]
    assert main(words) == 1
    assert "torn.png" in capsys.readouterr().err
    assert main([*words, "--skip-damaged"]) == 0
    assert "on 200 " in capsys.readouterr().out


def test_evaluation_refuses_a_set_of_other_classes(built: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["evaluate", "lenet5-digits", "--dataset", "photos", "--repository", str(built / "repository")]
    assert main(words) in (1, 2)
    assert capsys.readouterr().err.count("\n") == 1


def test_a_served_model_takes_less_than_300_mb_and_no_tensorflow(built: Path) -> None:
    code = f"""
import sys, time
from fastapi.testclient import TestClient
from app.main import create_app
from app.settings import Settings
with TestClient(create_app(Settings(repository={str(built / "repository")!r}))) as client:
    while client.get("/health/ready").status_code != 200:
        time.sleep(0.02)
    resident = next(line for line in open("/proc/self/status") if line.startswith("VmRSS"))
    print(int(resident.split()[1]), "tensorflow" in sys.modules, "keras" in sys.modules)
"""
    if not Path("/proc/self/status").exists():
        pytest.skip("reads resident memory from /proc")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    kilobytes, tensorflow, keras = done.stdout.split()
    assert int(kilobytes) < 300_000
    assert (tensorflow, keras) == ("False", "False")


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.data
def test_lenet5_on_mnist_reaches_99_2_percent_of_posted_images(data_dir: Path, tmp_path: Path) -> None:
    words = ["build", "lenet5-mnist", "--data-dir", str(data_dir), "--repository", str(tmp_path / "repository")]
    assert main([*words, "--runs", str(tmp_path / "runs")]) == 0
    mnist = load_dataset("mnist", data_dir)
    with TestClient(create_app(Settings(repository=tmp_path / "repository"))) as client:
        assert ready(client)
        answers = np.empty(len(mnist.test), dtype=int)
        for index in range(len(mnist.test)):
            answer = client.post(
                "/predict/lenet5-mnist", content=mnist.test.encoded(index)[0], headers={"Content-Type": "image/png"}
            )
            answers[index] = answer.json()["predictions"][0]["classes"][0]["index"]
    assert (answers == mnist.test.labels).mean() >= 0.992
    card_says = evaluate_published(open_published(tmp_path / "repository", "lenet5-mnist"), mnist).top1
    assert (answers == mnist.test.labels).mean() == pytest.approx(card_says, abs=1e-4)
