"""Somebody's own Keras file, from the command line to an answer."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

from app.card import read_card
from export.cli import main
from export.datasets import load_dataset
from export.published import evaluate_published, open_published


def small_network(*last: layers.Layer, inside: tuple[layers.Layer, ...] = ()) -> keras.Model:
    keras.utils.set_random_seed(0)
    body = [layers.Conv2D(4, 3, activation="relu"), layers.GlobalAveragePooling2D()]
    return keras.Sequential([keras.Input((20, 20, 3)), *inside, *body, *last])


@pytest.fixture
def labels(tmp_path: Path) -> str:
    path = tmp_path / "labels.txt"
    path.write_text("cat\ndog\nbird\n")
    return str(path)


def convert(file: Path, tmp_path: Path, *options: str) -> int:
    return main(["convert", str(file), "--name", "mine", "--repository", str(tmp_path / "repository"), *options])


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_a_file_with_softmax_is_converted_with_one_command(tmp_path: Path, labels: str, suffix: str) -> None:
    file = tmp_path / f"pets{suffix}"
    small_network(layers.Dense(3, activation="softmax")).save(file)
    assert convert(file, tmp_path, "--labels", labels, "--preprocessing", "unit", "--fit", "crop") == 0
    card = read_card(tmp_path / "repository/mine/1")
    assert (card.head, card.energy, card.features, card.image.fit) == ("softmax", True, True, "crop")
    assert card.network.origin == "keras-file"
    assert card.evaluation is None
    assert "scikit-learn" in card.proof.source


def test_logits_are_recognized_by_what_they_look_like(tmp_path: Path, labels: str) -> None:
    small_network(layers.Dense(3)).save(tmp_path / "pets.keras")
    assert convert(tmp_path / "pets.keras", tmp_path, "--labels", labels, "--preprocessing", "tf") == 0
    assert read_card(tmp_path / "repository/mine/1").head == "logits"


def test_cats_and_dogs_by_one_sigmoid_get_two_classes(tmp_path: Path) -> None:
    (tmp_path / "two.txt").write_text("cat\ndog\n")
    small_network(layers.Dense(1, activation="sigmoid")).save(tmp_path / "pets.keras")
    assert (
        convert(tmp_path / "pets.keras", tmp_path, "--labels", str(tmp_path / "two.txt"), "--preprocessing", "unit")
        == 0
    )
    assert read_card(tmp_path / "repository/mine/1").labels == ("cat", "dog")


def test_preprocessing_inside_the_network_is_left_to_it(tmp_path: Path, labels: str) -> None:
    model = small_network(layers.Dense(3, activation="softmax"), inside=(layers.Rescaling(1 / 255),))
    model.save(tmp_path / "pets.keras")
    assert convert(tmp_path / "pets.keras", tmp_path, "--labels", labels) == 0
    assert read_card(tmp_path / "repository/mine/1").preprocessing.name == "none"


def test_normalization_layers_bring_their_statistics_along(tmp_path: Path, labels: str) -> None:
    normalization = layers.Normalization()
    normalization.adapt(np.random.default_rng(0).normal(120, 50, (50, 20, 20, 3)))
    model = small_network(layers.Dense(3, activation="softmax"), inside=(normalization,))
    model.save(tmp_path / "pets.keras")
    assert convert(tmp_path / "pets.keras", tmp_path, "--labels", labels) == 0


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ([], "--labels is missing"),
        (["--labels", "LABELS"], "--preprocessing tf|caffe|torch|unit|none"),
        (["--labels", "imagenet", "--preprocessing", "tf"], "1,000 labels for 3 classes"),
        (["--labels", "LABELS", "--preprocessing", "tf", "--size", "30x30"], "reads 20x20 and no other size"),
        (["--labels", "LABELS", "--preprocessing", "tf", "--head", "logits"], "use --head softmax"),
    ],
)
def test_what_is_missing_or_wrong_is_said_in_one_line(
    tmp_path: Path, labels: str, capsys: pytest.CaptureFixture[str], options: list[str], complaint: str
) -> None:
    small_network(layers.Dense(3, activation="softmax")).save(tmp_path / "pets.keras")
    options = [labels if word == "LABELS" else word for word in options]
    assert convert(tmp_path / "pets.keras", tmp_path, *options) in (1, 2)
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("convserve-export:")]
    assert len(lines) == 1
    assert complaint in lines[0]
    assert not (tmp_path / "repository/mine").exists()


def test_a_file_that_is_no_keras_file_is_named(tmp_path: Path, labels: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "pets.keras").write_text("hello")
    assert convert(tmp_path / "pets.keras", tmp_path, "--labels", labels, "--preprocessing", "tf") == 1
    assert "no zip archive" in capsys.readouterr().err


def test_a_detection_network_is_refused(tmp_path: Path, labels: str, capsys: pytest.CaptureFixture[str]) -> None:
    keras.Sequential([keras.Input((20, 20, 3)), layers.Conv2D(3, 3)]).save(tmp_path / "boxes.keras")
    assert convert(tmp_path / "boxes.keras", tmp_path, "--labels", labels, "--preprocessing", "tf") == 1
    assert "detection and segmentation" in capsys.readouterr().err


@pytest.mark.data
def test_the_real_mobilenet_recognizes_the_real_photos(mobilenet_file: Path, data_dir: Path, tmp_path: Path) -> None:
    options = ["--labels", "imagenet", "--preprocessing", "tf", "--fit", "crop"]
    assert convert(mobilenet_file, tmp_path, *options) == 0
    result = evaluate_published(open_published(tmp_path / "repository", "mine"), load_dataset("photos", data_dir))
    assert result.images == 50
    assert result.top1 >= 0.88
    assert result.top5 >= 0.94
