from __future__ import annotations

import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

from artifact.card import read_card
from export.cli.main import main, make_parser
from export.cli.train_command import choose_beginning
from export.data.datasets import load_dataset
from export.publish.published import open_published
from export.publish.read_back import evaluate_published
from export.sources.run_folder import read_run
from export.training.recipes.defaults import fine_tuning_recipe, fit_to_size
from tests.makers.artifacts import gray_image


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
    from models.registry import NETWORKS

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
    (data / "labels.csv").write_text("filename,class_index\na.png,0\n")
    (data / "a.png").write_bytes(gray_image(0))
    places = {"FILE": str(pretrained), "FOLDER": str(digit_folders)}
    out = tmp_path / "run"
    words = ["train", *[places.get(word, word) for word in words], "--out", str(out), "--data-dir", str(data.parent)]
    assert main(words) == 2
    assert complaint in capsys.readouterr().err
    assert not out.exists() or not (out / "model.keras").exists()


@pytest.mark.parametrize(("images", "batch", "epochs"), [(8, 2, 75), (72, 7, 28), (1000, 32, 10), (50_000, 32, 5)])
def test_defaults_give_few_images_small_batches_and_hundreds_of_steps(images: int, batch: int, epochs: int) -> None:
    recipe = fit_to_size(fine_tuning_recipe("net", "pets", freeze=True), images)
    assert (recipe.batch_size, recipe.epochs, recipe.patience) == (batch, epochs, epochs)
    assert fit_to_size(fine_tuning_recipe("net", "pets", freeze=True), images, 4).batch_size == 4


def test_digits_are_not_flipped_and_photos_only_unless_told(
    pretrained: Path, digit_folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for dataset in ("digits", "mnist"):
        assert not fine_tuning_recipe("net", dataset, freeze=True).augmentation.flip
    shutil.copytree(digit_folders, tmp_path / "named")
    for old, new in (("zero", "0"), ("one", "1"), ("seven", "7")):
        (tmp_path / "named" / old).rename(tmp_path / "named" / new)

    def flips(folder: Path, *words: str) -> bool:
        words = ("train", str(pretrained), "--dataset", str(folder), "--preprocessing", "tf", *words)
        return choose_beginning(make_parser().parse_args(words)).recipe.augmentation.flip

    assert flips(digit_folders)
    assert not flips(digit_folders, "--no-flip")
    assert not flips(tmp_path / "named")
    assert "aren't flipped" in capsys.readouterr().err


def test_weights_that_do_not_fit_leave_no_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = keras.Sequential([keras.Input((28, 28, 1)), layers.Flatten(), layers.Dense(3, name="other")])
    small.save(tmp_path / "other.keras")
    (tmp_path / "broken.keras").write_text("hello")
    words = ["train", "lenet5", "--dataset", "digits", "--out", str(tmp_path / "run"), "--weights"]
    assert main([*words, str(tmp_path / "other.keras")]) == 2
    assert "no layer fits" in capsys.readouterr().err
    assert main([*words, str(tmp_path / "broken.keras")]) == 1
    assert "not a Keras file" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
