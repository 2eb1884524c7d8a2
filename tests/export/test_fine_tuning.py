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
from export.run import read_run


@pytest.fixture(scope="module")
def digit_folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three digits as PNGs in class folders: small photos, for a network that was trained on something else."""
    root = tmp_path_factory.mktemp("folders") / "three-digits"
    digits = load_dataset("digits", None)
    assert digits.train is not None
    for name, label in (("zero", 0), ("one", 1), ("seven", 7)):
        (root / name).mkdir(parents=True)
        for index in np.flatnonzero(digits.train.labels == label)[:50]:
            (root / name / f"{index}.png").write_bytes(digits.train.encoded(int(index))[0])
    return root


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An RGB network of five classes, with batch normalization."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((24, 24, 3)),
            layers.Conv2D(16, 5, strides=2, activation="relu"),
            layers.BatchNormalization(name="norm"),
            layers.Conv2D(32, 3, activation="relu"),
            layers.Flatten(),
            layers.Dropout(0.1),
            layers.Dense(5, activation="softmax"),
        ]
    )
    file = tmp_path_factory.mktemp("weights") / "five.keras"
    model.save(file)
    return file


def test_a_file_is_fine_tuned_to_a_folder_and_served(digit_folders: Path, pretrained: Path, tmp_path: Path) -> None:
    words = ["train", str(pretrained), "--dataset", str(digit_folders), "--preprocessing", "tf", "--fit", "stretch"]
    words += ["--epochs", "6", "--learning-rate", "0.003", "--out", str(tmp_path / "run")]
    assert main(words) == 0
    run = read_run(tmp_path / "run")
    assert run.labels == ("one", "seven", "zero")
    assert run.preprocessing.name == "tf"
    assert run.image.shape == (24, 24, 3)
    assert run.network.origin == "keras-file"
    repository = tmp_path / "repository"
    assert main(["convert", str(tmp_path / "run"), "--repository", str(repository)]) == 0
    name = next(path.name for path in repository.iterdir())
    assert name == "five-three-digits"
    assert read_card(repository / name / "1").features is False
    result = evaluate_published(open_published(repository, name), load_dataset(str(digit_folders), None))
    assert result.top1 >= 0.9


def test_frozen_layers_and_their_statistics_stay_as_they_were(
    digit_folders: Path, pretrained: Path, tmp_path: Path
) -> None:
    words = ["train", str(pretrained), "--dataset", str(digit_folders), "--preprocessing", "tf", "--freeze"]
    assert main([*words, "--epochs", "1", "--out", str(tmp_path / "run")]) == 0
    before, after = keras.models.load_model(pretrained), keras.models.load_model(tmp_path / "run/model.keras")
    for one, other in zip(before.layers[:-1], after.layers[1:-1], strict=True):
        for old, new in zip(one.get_weights(), other.get_weights(), strict=True):
            np.testing.assert_array_equal(old, new)


def test_a_network_takes_every_layer_that_fits_and_names_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from models import NETWORKS

    other = NETWORKS["lenet5"].build(input_shape=(28, 28, 1), classes=7)
    other.save(tmp_path / "seven.keras")
    words = ["train", "lenet5", "--dataset", "digits", "--weights", str(tmp_path / "seven.keras"), "--freeze"]
    assert main([*words, "--epochs", "1", "--out", str(tmp_path / "run")]) == 0
    assert "loaded 4 layers from seven.keras; new: logits" in capsys.readouterr().err
    trained = keras.models.load_model(tmp_path / "run/model.keras")
    np.testing.assert_array_equal(trained.get_layer("C5").get_weights()[0], other.get_layer("C5").get_weights()[0])
    assert read_run(tmp_path / "run").network.parameters == 61_706


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["FILE", "--dataset", "digits"], "--preprocessing tf|caffe|torch|unit|none"),
        (["lenet5", "--dataset", "digits", "--weights", "imagenet"], "no ImageNet weights of lenet5"),
        (["lenet5", "--dataset", "digits", "--size", "64x64"], "are 28x28, as they are"),
        (["resnet18", "--dataset", "photos"], "has no training images"),
        (["lenet5", "--dataset", "FOLDER", "--size", "64x64"], "images of 64x64 don't fit"),
    ],
)
def test_words_that_do_not_fit_together_are_one_line(
    words: list[str],
    complaint: str,
    digit_folders: Path,
    pretrained: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    data = tmp_path / "data/photos"
    data.mkdir(parents=True)
    (data / "labels.csv").write_text("filename,class_index\n")
    places = {"FILE": str(pretrained), "FOLDER": str(digit_folders)}
    out = tmp_path / "run"
    words = ["train", *[places.get(word, word) for word in words], "--out", str(out), "--data-dir", str(data.parent)]
    assert main(words) == 2
    assert complaint in capsys.readouterr().err
    assert not out.exists() or not (out / "model.keras").exists()
