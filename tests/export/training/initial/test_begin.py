"""Trainings that begin with a run, a record or a file's weights; networks of the series: test_initial_network.py."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from artifact.layout import CARD_FILE
from export.cli.main import main
from export.errors import UsageError
from export.sources.image_options import ImageOptions
from export.sources.named.applications import build_application
from export.sources.run_folder import KERAS_FILE, RUN_FILE, read_run
from export.training.checkpoint import Checkpoint
from export.training.initial.begin import Words, begin
from export.training.recipes.files import read_recorded


@pytest.fixture(scope="module")
def run(digit_folders: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with arithmetic of its own, on three classes."""
    folder = tmp_path_factory.mktemp("runs") / "three"
    words = ["train", "lenet5", "--dataset", str(digit_folders), "--mean", "0.25", "--std", "0.5", "--fit", "stretch"]
    assert main([*words, "--set", "epochs=2", "--set", "rotate=3", "--seed", "5", "--out", str(folder)]) == 0
    return folder


def weights_of(folder: Path) -> dict[str, list[np.ndarray]]:
    model = keras.models.load_model(folder / KERAS_FILE)
    return {layer.name: layer.get_weights() for layer in model.layers if layer.weights}


def same(one: list[np.ndarray], other: list[np.ndarray]) -> bool:
    return all(map(np.array_equal, one, other))


def test_a_run_is_trained_further_with_its_own_head_arithmetic_and_validation_images(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # A learning rate of 0 shows what it begins with.
    assert main(["train", str(run), "--epochs", "1", "--learning-rate", "0"]) == 0
    said = capsys.readouterr().err
    assert "loaded three, with its head" in said
    further = run.with_name("three-further")
    before, after = read_run(run), read_run(further)
    assert before.preprocessing.mean == (0.25 * 255,)
    assert (after.preprocessing, after.image, after.labels) == (before.preprocessing, before.image, before.labels)
    assert (after.seed, after.model_name, after.network.parameters) == (5, before.model_name, before.network.parameters)
    assert after.network.weights == "trained further from three"
    assert (after.network.name, after.network.paper) == (before.network.name, before.network.paper)
    assert after.recipe["augmentation.rotate"] == 3
    assert after.recipe["weights"] == "three"
    old, new = weights_of(run), weights_of(further)
    assert old.keys() == new.keys()
    assert all(same(old[name], new[name]) for name in old)
    assert after.evaluation == before.evaluation
    assert main(["train", str(run), "--epochs", "1", "--learning-rate", "0"]) == 0
    assert "finished: nothing to do" in capsys.readouterr().err


def test_new_classes_get_a_new_head_on_the_run_s_network(
    run: Path, digit_folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(digit_folders, tmp_path / "two")
    shutil.rmtree(tmp_path / "two/seven")
    words = ["train", str(run), "--dataset", str(tmp_path / "two"), "--freeze", "--epochs", "1"]
    assert main([*words, "--out", str(tmp_path / "run")]) == 0
    assert "its head of 3 classes is replaced by a new one for 2" in capsys.readouterr().err
    trained = read_run(tmp_path / "run")
    assert (trained.labels, trained.model_name) == (("one", "zero"), "lenet5-two")
    assert trained.preprocessing == read_run(run).preprocessing
    old, new = weights_of(run), weights_of(tmp_path / "run")
    assert [name for name in new if not same(old[name], new[name])] == ["logits"]


@pytest.mark.parametrize(
    ("said", "remedy"),
    [({"seed": 6}, "pass --seed 5"), ({"changes": [("validation_share", 0.2)]}, "pass --set validation_share=0.1")],
)
def test_a_run_is_never_validated_on_images_that_it_was_trained_on(run: Path, said: dict, remedy: str) -> None:
    with pytest.raises(UsageError, match=f"validated on images that it was trained on: {remedy}"):
        begin(Words(network=str(run), **said))


def test_images_added_to_a_run_s_data_set_are_said_to_flatter_validation(
    run: Path, digit_folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = json.loads((run / RUN_FILE).read_text())
    record["training"]["images"] -= 7
    shutil.copytree(run, tmp_path / "run")
    (tmp_path / "run" / RUN_FILE).write_text(json.dumps(record))
    begin(Words(network=str(tmp_path / "run")))
    assert "so that validation accuracy is too high" in capsys.readouterr().err


def test_a_network_that_is_built_takes_no_options(run: Path) -> None:
    with pytest.raises(UsageError, match=r"options\.width: .*three is built already"):
        begin(Words(network=str(run), changes=[("options.width", 2)]))


def test_a_recipe_of_an_unknown_network_names_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('network = "resnt18"\ndataset = "digits"\nepochs = 4\n')
    with pytest.raises(UsageError, match=r"did you mean resnet18\?"):
        begin(Words(), read_recorded(str(tmp_path / "mine.toml")))


def test_a_run_by_a_recipe_without_a_network_stays_what_it_is(run: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("epochs = 4\nlearning_rate = 0.01\n")
    record = json.loads((run / RUN_FILE).read_text())
    record["recipe"]["options.depth"] = 2
    shutil.copytree(run, tmp_path / "run")
    (tmp_path / "run" / RUN_FILE).write_text(json.dumps(record))
    begun = begin(Words(network=str(tmp_path / "run")), read_recorded(str(tmp_path / "mine.toml")))
    assert (begun.recipe.epochs, begun.recipe.learning_rate, begun.recipe.options) == (4, 0.01, {"depth": 2})
    assert (begun.dataset.name, begun.seed) == (record["dataset"], 5)


def test_an_option_that_a_network_doesn_t_have_is_refused_with_those_that_it_has() -> None:
    with pytest.raises(UsageError, match=r"resnet18 has no option widht \(did you mean width\?\): there are .*width"):
        begin(Words("resnet18", "digits", changes=[("options.widht", 2)]))


@pytest.mark.parametrize(
    ("network", "option", "words"),
    [
        ("googlenet", ("auxiliary", "maybe"), 'googlenet: auxiliary="maybe" does not fit: give true or false'),
        ("googlenet", ("width", True), "googlenet: width=true does not fit: give a number"),
        ("resnet1001", ("blocks", 1.5), "resnet1001: blocks=1.5 does not fit: give a whole number"),
        ("resnet18", ("stem", 3), "resnet18: stem=3 does not fit: give a word"),
    ],
)
def test_an_option_of_another_type_is_refused(network: str, option: tuple[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        begin(Words(network, "digits", changes=[(f"options.{option[0]}", option[1])]))


def test_a_recipe_of_another_network_brings_no_arithmetic(run: Path) -> None:
    begun = begin(Words(network="resnet18", changes=[("width", 4)]), read_recorded(str(run)))
    assert (begun.initial.image.channels, begun.initial.preprocessing) == (3, None)
    assert (begun.recipe.epochs, begun.recipe.augmentation.rotate) == (2, 3)


def test_a_recipe_says_how_pixels_are_prepared_unless_image_options_do(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('network = "lenet5"\ndataset = "digits"\nepochs = 1\npreprocessing = "unit"\n')
    recorded = read_recorded(str(file))
    for image, name in ((ImageOptions(), "unit"), (ImageOptions(preprocessing="tf"), "tf")):
        begun = begin(Words(image=image), recorded)
        assert begun.initial.preprocessing is not None
        assert begun.initial.preprocessing.name == name
    with pytest.raises(UsageError, match="--set preprocessing: the preprocessing is named with --preprocessing"):
        begin(Words(changes=[("preprocessing", "tf")]), recorded)


def test_two_recipes_of_one_network_and_data_set_have_folders_of_their_own(tmp_path: Path) -> None:
    recorded = []
    for name in ("mine", "other"):
        file = tmp_path / f"{name}.toml"
        file.write_text('network = "lenet5"\ndataset = "digits"\nepochs = 1\n')
        recorded.append(read_recorded(str(file)))
    assert [begin(Words(), one).folder for one in recorded] == [Path("runs/mine"), Path("runs/other")]
    assert begin(Words(network="alexnet_series"), recorded[0]).folder == Path("runs/alexnet_series-digits")
    assert begin(Words("lenet5", "digits")).folder == Path("runs/lenet5-digits")


def test_a_cache_that_helps_validation_alone_is_told(
    digit_folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = Words("lenet5", str(digit_folders), cache=tmp_path / "cache", cache_bytes=10**6)
    begin(words)
    assert "helps validation alone" not in capsys.readouterr().err
    begin(replace(words, cache=tmp_path / "other", changes=[("random_resized_crop", 0.5)]))
    assert "helps validation alone: random_resized_crop and scale_jitter cut" in capsys.readouterr().err


def test_a_run_is_not_trained_into_itself(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", str(run), "--out", str(run)]) == 2
    assert "stays as it is: name another folder" in capsys.readouterr().err


def test_an_unfinished_run_is_not_trained_further(run: Path, tmp_path: Path) -> None:
    shutil.copyfile(run / RUN_FILE, tmp_path / RUN_FILE)
    assert main(["train", str(tmp_path)]) == 1


def test_a_card_repeats_its_training(
    run: Path,
    digit_folders: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    repository = tmp_path / "repository"
    assert main(["convert", str(run), "--repository", str(repository)]) == 0
    card = repository / "lenet5-three-digits" / "1" / CARD_FILE
    assert str(digit_folders.parent) not in card.read_text()
    assert main(["train", "--recipe", str(card), "--out", str(tmp_path / "again")]) == 2
    assert f"was trained on {digit_folders.name}, which isn't in this folder: say where" in capsys.readouterr().err
    monkeypatch.chdir(digit_folders.parent)
    assert main(["train", "--recipe", str(card), "--out", str(tmp_path / "again")]) == 0
    assert "images of" in capsys.readouterr().err
    first, again = read_run(run), read_run(tmp_path / "again")
    for name in ("recipe", "seed", "dataset", "image", "preprocessing", "labels", "network", "model_name"):
        assert getattr(again, name) == getattr(first, name), name
    histories = [Checkpoint(folder / "checkpoint").read().history for folder in (run, tmp_path / "again")]
    for one, other in zip(*histories, strict=True):
        assert other["loss"] == pytest.approx(one["loss"], rel=1e-2)
    # Only what is said is another.
    begun = begin(Words(changes=[("epochs", 7)], seed=1), read_recorded(str(card)))
    assert (begun.recipe.epochs, begun.recipe.batch_size, begun.seed) == (7, first.recipe["batch_size"], 1)


def test_a_record_names_the_run_that_it_began_with_and_asks_where_it_lies(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["train", str(run), "--epochs", "1", "--learning-rate", "0", "--out", str(tmp_path / "further")]
    assert main(words) == 0
    recorded = read_recorded(str(tmp_path / "further"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="began with three, which isn't here: name it as the first word"):
        begin(Words(), recorded)
    begun = begin(Words(network=str(run)), recorded)
    assert begun.recipe.summary() == recorded.recipe.summary()
    assert begun.initial.info.weights == "trained further from three"


def test_a_record_of_a_run_trained_further_repeats_its_image_options_too(
    run: Path, digit_folders: Path, tmp_path: Path
) -> None:
    shutil.copytree(digit_folders, tmp_path / "more")
    words = ["train", str(run), "--dataset", str(tmp_path / "more"), "--epochs", "1", "--learning-rate", "0"]
    others = ["--mean", "0.5", "--fit", "pad", "--resize", "antialias-bicubic"]
    assert main([*words, *others, "--out", str(tmp_path / "further")]) == 0
    trained = read_run(tmp_path / "further")
    recorded = read_recorded(str(tmp_path / "further"))
    assert (trained.image.fit, trained.image.resize) == ("pad", "antialias-bicubic")
    assert trained.preprocessing.mean == (127.5,)
    again = begin(Words(network=str(run)), recorded).initial
    assert (again.image, again.preprocessing) == (trained.image, trained.preprocessing)
    said = begin(Words(network=str(run), image=ImageOptions(fit="stretch")), recorded).initial
    assert (said.image.fit, said.image.resize) == ("stretch", "antialias-bicubic")
    # Of another run it is a recipe alone: that one's network is used to its own arithmetic.
    other = shutil.copytree(run, tmp_path / "other")
    assert begin(Words(network=str(other)), recorded).initial.preprocessing == read_run(run).preprocessing


@pytest.mark.parametrize("classes", [1000, 5])
def test_a_network_of_keras_applications_begins_with_a_file_s_weights(
    classes: int, digit_folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network = build_application("mobilenet_v2", None, classes, (32, 32))
    file = tmp_path / ("own.weights.h5" if classes == 5 else "whole.keras")
    network.save_weights(file) if classes == 5 else network.save(file)
    words = ["train", "mobilenet_v2", "--weights", str(file), "--dataset", str(digit_folders), "--size", "32x32"]
    assert main([*words, "--freeze", "--epochs", "1", "--batch-size", "64", "--out", str(tmp_path / "run")]) == 0
    said = re.search(r" on (\d+) images of .*; (\d+) validate, (\d+) are kept to test \(20%", capsys.readouterr().err)
    trained = read_run(tmp_path / "run")
    assert said is not None
    assert trained.training is not None
    assert trained.evaluation is not None
    images = (trained.training.images, trained.training.validation_images, trained.evaluation.images)
    assert tuple(map(int, said.groups())) == images
    assert sum(images) == 150
    assert trained.network.origin == "keras.applications"
    assert trained.network.weights == f"fine-tuned from mobilenet_v2 ({file.name}), head only"
    assert (trained.recipe["weights"], trained.recipe["freeze"]) == (file.name, True)
    new = weights_of(tmp_path / "run")
    for layer in network.layers[:-1]:
        assert same(layer.get_weights(), new.get(layer.name, [])), layer.name
    # Its record knows all but where the file lies.
    begun = begin(Words(changes=[("weights", str(file))]), read_recorded(str(tmp_path / "run")))
    assert (begun.initial.image, begun.recipe.summary()) == (trained.image, trained.recipe)


def test_weights_of_another_network_are_refused(
    digit_folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build_application("mobilenet", None, 1000, (32, 32)).save_weights(tmp_path / "other.weights.h5")
    words = ["train", "mobilenet_v2", "--weights", str(tmp_path / "other.weights.h5"), "--dataset", str(digit_folders)]
    assert main([*words, "--size", "32x32", "--out", str(tmp_path / "run")]) == 2
    assert "other.weights.h5" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_file_of_weights_alone_fills_a_network_of_the_series(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from models.registry import NETWORKS

    seven = NETWORKS["lenet5"].build(input_shape=(28, 28, 1), classes=7)
    seven.save_weights(tmp_path / "seven.weights.h5")
    begun = begin(Words("lenet5", "digits", changes=[("weights", str(tmp_path / "seven.weights.h5"))]))
    model = begun.initial.build()
    assert "loaded 4 layers from seven.weights.h5; new: logits" in capsys.readouterr().err
    for layer in seven.layers[:-1]:
        assert same(layer.get_weights(), model.get_layer(layer.name).get_weights())
    assert np.isfinite(model.get_layer("logits").get_weights()[0]).all()
