from __future__ import annotations

import errno
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from artifact.image_policy import ImagePolicy
from export.data.datasets import DataSet, load_dataset
from export.data.preprocessing import preset
from export.data.samples import ArraySamples
from export.errors import DataError, TrainingError, UsageError
from export.sources.run_folder import read_run
from export.sources.run_source import load_run
from export.training import callbacks, finish
from export.training import train as training
from export.training.augmentation import Augmentation
from export.training.batches import Batches
from export.training.checkpoint import Checkpoint
from export.training.initial.initial_network import start_network
from export.training.recipes.recipe import Recipe

OLD_FIGURES = ("epoch", "loss", "accuracy")
RECIPE = Recipe(network="lenet5", dataset="digits", epochs=3, batch_size=64, augmentation=Augmentation(rotate=5))


@pytest.fixture(scope="module")
def few_digits() -> DataSet:
    digits = load_dataset("digits", None)
    assert isinstance(digits.train, ArraySamples)
    train = ArraySamples(digits.train.images[:320], digits.train.labels[:320])
    return replace(digits, train=train)


class _Killed(BaseException):
    """Stands for kill -9: no handler of the training may see it."""


def train_until_killed(
    epoch: int, dataset: DataSet, folder: Path, monkeypatch: pytest.MonkeyPatch, seed: int = 0
) -> None:
    """Train by RECIPE into `folder`, until the process dies behind the checkpoint of `epoch`."""
    write = Checkpoint.write

    def write_and_die(self: Checkpoint, model: keras.Model, state: training.State) -> None:
        write(self, model, state)
        if state.epoch == epoch:
            raise _Killed

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "write", write_and_die)
        with pytest.raises(_Killed):
            training.train(RECIPE, dataset, folder, seed=seed)


def test_a_killed_training_goes_on_to_the_same_network(
    few_digits: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = training.train(RECIPE, few_digits, tmp_path / "whole", seed=3)
    train_until_killed(2, few_digits, tmp_path / "killed", monkeypatch, seed=3)
    assert Checkpoint(tmp_path / "killed/checkpoint").read().epoch == 2
    resumed = training.train(RECIPE, few_digits, tmp_path / "killed", seed=3)
    histories = [Checkpoint(tmp_path / name / "checkpoint").read().history for name in ("whole", "killed")]
    assert [row["epoch"] for row in histories[1]] == [1, 2, 3]
    for one, other in zip(*histories, strict=True):
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-4)
    assert resumed.evaluation is not None
    assert whole.evaluation is not None
    assert resumed.evaluation.top1 == pytest.approx(whole.evaluation.top1, abs=0.005)
    networks = [keras.models.load_model(tmp_path / name / "model.keras").get_weights() for name in ("whole", "killed")]
    for weight, again in zip(*networks, strict=True):
        np.testing.assert_allclose(weight, again, atol=1e-4)
    steps = Checkpoint(tmp_path / "killed/checkpoint").load(3).optimizer.iterations
    assert int(steps) == 3 * 5  # 288 images in batches of 64: the optimizer was resumed too


def test_a_checkpoint_of_an_older_convserve_goes_on_with_today_s_figures(
    few_digits: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_until_killed(1, few_digits, tmp_path, monkeypatch)
    checkpoint = Checkpoint(tmp_path / "checkpoint")
    state, model = checkpoint.read(), checkpoint.load(1)
    model.compile(model.optimizer, keras.losses.CategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    state.history = [{key: of for key, of in state.history[0].items() if key.removeprefix("val_") in OLD_FIGURES}]
    checkpoint.write(model, state)
    run = training.train(RECIPE, few_digits, tmp_path)
    assert run.training is not None
    assert run.training.epochs == 3
    history = checkpoint.read().history
    assert "val_macro_f1" not in history[0]
    assert history[2]["val_top5"] >= history[2]["val_accuracy"]
    assert int(checkpoint.load(3).optimizer.iterations) == 3 * 5


def test_the_run_folder_holds_what_convert_needs(
    few_digits: DataSet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    training.train(replace(RECIPE, epochs=1), few_digits, tmp_path, seed=0)
    names = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert {
        "model.keras",
        "run.json",
        "report/curves.png",
        "report/confusion.png",
        "report/reliability.png",
        "report/metrics.json",
    } <= names
    run = read_run(tmp_path)
    assert run.labels == few_digits.labels
    assert run.training is not None
    assert (run.training.images, run.training.validation_images) == (289, 31)
    assert run.network.parameters == 61_706
    source = load_run(tmp_path, None, None)
    assert source.name == "lenet5-digits"
    assert source.provenance.temperature == 1
    assert (run.calibration, run.score_quantiles, run.distribution) == (None, None, None)
    assert "only 31 validation images, 100 are needed" in capsys.readouterr().err


def test_a_run_s_data_that_is_loaded_is_not_looked_for(few_digits: DataSet, tmp_path: Path) -> None:
    training.train(replace(RECIPE, epochs=1), few_digits, tmp_path)
    nowhere = tmp_path / "nowhere"
    assert load_run(tmp_path, None, nowhere, dataset=few_digits).images.samples is few_digits.test
    with pytest.raises(DataError, match="9 classes now, other than the 10"):
        load_run(tmp_path, None, nowhere, dataset=replace(few_digits, labels=few_digits.labels[:9]))


def test_a_finished_training_is_left_alone(
    few_digits: DataSet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = replace(RECIPE, epochs=1)
    first = training.train(recipe, few_digits, tmp_path)
    assert training.train(recipe, few_digits, tmp_path) == first
    assert "finished: nothing to do" in capsys.readouterr().err


def test_another_training_in_the_folder_is_refused(few_digits: DataSet, tmp_path: Path) -> None:
    training.train(replace(RECIPE, epochs=1), few_digits, tmp_path)
    with pytest.raises(UsageError, match=r"\(learning_rate 0\.001 there, 0\.5 now\).* another folder with --out"):
        training.train(replace(RECIPE, epochs=1, learning_rate=0.5), few_digits, tmp_path)


def test_a_training_goes_on_with_its_own_images_and_arithmetic_alone(
    few_digits: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_until_killed(1, few_digits, tmp_path, monkeypatch)
    said = replace(start_network(RECIPE, few_digits), preprocessing=preset("unit", 1))
    with pytest.raises(UsageError, match=r"other settings \(preprocessing\)"):
        training.train(RECIPE, few_digits, tmp_path, initial=said)
    assert isinstance(few_digits.train, ArraySamples)
    images, labels = few_digits.train.images, few_digits.train.labels
    other = replace(few_digits, train=ArraySamples(images[::-1], labels[::-1]))
    here = read_run(tmp_path).preprocessing
    initial = replace(start_network(RECIPE, few_digits), preprocessing=here)
    with pytest.raises(UsageError, match="digits, whose training images have changed since"):
        training.train(RECIPE, other, tmp_path, initial=initial)


def test_two_trainings_in_one_folder_are_one_too_many(
    few_digits: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, refused = replace(RECIPE, epochs=1), []
    write = Checkpoint.write

    def start_another(self: Checkpoint, model: keras.Model, state: training.State) -> None:
        with pytest.raises(UsageError, match="another training is at work in"):
            training.train(recipe, few_digits, tmp_path)
        refused.append(state.epoch)
        write(self, model, state)

    monkeypatch.setattr(Checkpoint, "write", start_another)
    training.train(recipe, few_digits, tmp_path)
    assert refused == [1]


def test_augmentation_that_the_images_cannot_take_leaves_no_folder(few_digits: DataSet, tmp_path: Path) -> None:
    recipe = replace(RECIPE, augmentation=Augmentation(pca_noise=0.1))
    with pytest.raises(UsageError, match="is for RGB images"):
        training.train(recipe, few_digits, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_an_unfinished_run_is_not_converted(
    few_digits: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_until_killed(1, few_digits, tmp_path, monkeypatch)
    with pytest.raises(DataError, match=r"not finished .*run the same train command again"):
        load_run(tmp_path, None, None)


def test_a_loss_that_is_no_number_ends_with_one_line(few_digits: DataSet, tmp_path: Path) -> None:
    recipe = replace(RECIPE, optimizer="sgd", learning_rate=3e38, schedule="constant")
    with pytest.raises(TrainingError, match="lower the learning rate"):
        training.train(recipe, few_digits, tmp_path)


@pytest.mark.parametrize("moment", ["checkpoint", "state", "run", "end"])
def test_a_full_disk_ends_with_one_line_and_no_half_written_file(
    few_digits: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    save, write_text = keras.Model.save, Path.write_text
    name = {"checkpoint": "checkpoint/part.keras", "state": "state.json.part", "run": "run.json.part"}
    end = name.get(moment, "run/part.keras")

    def full(path: Path) -> None:
        if path.as_posix().endswith(end):
            path.write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")

    def save_or_not(self: keras.Model, path: Path) -> None:
        full(path)
        save(self, path)

    def write_or_not(self: Path, text: str, encoding: str) -> int:
        full(self)
        return write_text(self, text, encoding)

    with monkeypatch.context() as patch:
        patch.setattr(keras.Model, "save", save_or_not)
        patch.setattr(Path, "write_text", write_or_not)
        with pytest.raises(TrainingError, match=r"run: No space left on device: the training stopped"):
            training.train(replace(RECIPE, epochs=1), few_digits, tmp_path / "run")
    assert not [path for path in tmp_path.rglob("*") if "part" in path.name]
    training.train(replace(RECIPE, epochs=1), few_digits, tmp_path / "run")


@pytest.mark.parametrize(("accuracy", "loss", "said"), [(0.1, 2902.3, True), (0.1, 2.3, False), (0.8, 90.0, False)])
def test_a_network_that_only_guesses_with_an_enormous_loss_is_said_to_have_diverged(
    capsys: pytest.CaptureFixture[str], accuracy: float, loss: float, said: bool
) -> None:
    finish.warn_of_divergence(training.State(best_accuracy=accuracy, best_loss=loss), 10, 0.5)
    assert ("among 10 classes, and the loss 2.9e+03" in capsys.readouterr().err) == said


def test_a_validation_loss_that_is_no_number_ends_with_one_line(
    few_digits: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = callbacks.make_row
    monkeypatch.setattr(callbacks, "make_row", lambda *arguments: {**row(*arguments), "val_loss": float("nan")})
    with pytest.raises(TrainingError, match="the validation loss became nan in epoch 1"):
        training.train(RECIPE, few_digits, tmp_path)


def test_training_stops_when_validation_no_longer_improves(
    few_digits: DataSet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = replace(RECIPE, epochs=9, learning_rate=0.0, schedule="constant", patience=1)
    run = training.train(recipe, few_digits, tmp_path)
    assert run.training is not None
    assert run.training.epochs == 2
    assert "no better validation accuracy for 1 epochs" in capsys.readouterr().err


# Batches


def test_augmentation_depends_on_seed_and_epoch_alone() -> None:
    samples = ArraySamples(np.random.default_rng(0).integers(0, 256, (10, 16, 16, 3), dtype=np.uint8), np.arange(10))
    policy = ImagePolicy(height=16, width=16, channels=3)
    every = Augmentation(flip=True, crop_padding=2, color=0.3, rotate=10, zoom=0.1, sharpness=True)

    def batches(seed: int, epoch: int) -> np.ndarray:
        prepared = Batches(
            samples, np.arange(10), 10, policy, preset("unit", 3), 4, augmentation=every, seed=seed, epoch=epoch
        )
        return np.concatenate([prepared[index][0] for index in range(len(prepared))])

    np.testing.assert_array_equal(batches(1, 2), batches(1, 2))
    assert (batches(1, 2) != batches(1, 3)).any()
    assert (batches(1, 2) != batches(2, 2)).any()
    assert batches(1, 2).shape == (10, 16, 16, 3)
