"""That a data set is known again by its images, wherever it lies, and that a card needs no place for it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PIL import Image

from artifact.card import Training, read_card
from export.data.datasets import load_dataset
from export.data.trained_on import has_name, is_trained_on, load_for_test, locate
from export.errors import UsageError
from tests.makers.artifacts import make_artifact
from tests.makers.stored_sets import draw_images, write_folder, write_table, write_tar


@pytest.fixture
def plants(tmp_path: Path) -> Path:
    folder = tmp_path / "there" / "plants"
    for label in ("rose", "tulip"):
        (folder / label).mkdir(parents=True)
        for number in range(20):
            Image.new("L", (4, 4), number).save(folder / label / f"{number}.png")
    return folder


def train_on(folder: Path, **changes: str) -> Training:
    """What a training on that folder leaves."""
    dataset = load_dataset(str(folder), None)
    assert dataset.train is not None
    known = {"dataset": dataset.title, "images_digest": dataset.images_digest, **changes}
    return Training(images=20, validation_images=4, epochs=1, seed=0, recipe={}, seconds=1, backend="keras", **known)


def test_a_set_is_known_again_where_it_was_moved_to_and_by_another_name(plants: Path, tmp_path: Path) -> None:
    training = train_on(plants)
    assert str(tmp_path) not in training.model_dump_json()
    moved = Path(shutil.move(plants, tmp_path / "flowers"))
    assert is_trained_on(training, load_dataset(str(moved), None))


def test_other_images_of_that_name_are_not_the_set(plants: Path) -> None:
    training = train_on(plants)
    for number in range(20):  # those that train are chosen by their names
        Image.new("L", (4, 4)).save(plants / "rose" / f"new-{number}.png")
    assert not is_trained_on(training, load_dataset(str(plants), None))
    assert has_name(training, str(plants))
    assert not is_trained_on(None, load_dataset(str(plants), None))


def test_where_a_card_of_an_older_version_has_no_digest_the_name_must_do(plants: Path, tmp_path: Path) -> None:
    training = train_on(plants, images_digest="", dataset=str(plants))
    moved = Path(shutil.move(plants, tmp_path / "plants"))
    assert is_trained_on(training, load_dataset(str(moved), None))
    assert not has_name(training, str(tmp_path / "flowers"))


def test_images_that_trained_a_model_are_not_those_that_measure_it(
    plants: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    card = read_card(make_artifact(tmp_path / "repository"))
    trained = card.model_copy(update={"training": train_on(plants)})
    divided = load_dataset(str(plants), None)
    moved = Path(shutil.move(plants, tmp_path / "plants"))
    assert len(load_for_test(str(moved), None, trained).test) == len(divided.test) < 40
    assert "isn't what" not in capsys.readouterr().err
    assert len(load_for_test(str(moved), None, card).test) == 40
    (moved / "rose" / "0.png").unlink()
    (moved / "tulip" / "0.png").unlink()
    assert len(load_for_test(str(moved), None, trained).test) < 38
    assert f"plants isn't what {card.name} was trained on, or has changed" in capsys.readouterr().err


@pytest.mark.parametrize("form", ["folder", "table", "tar"])
def test_the_training_half_of_a_set_is_told_by_its_images(
    form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pets = tmp_path / "pets"
    for seed, split in enumerate(("train", "test")):
        images = draw_images(count=6 - seed, seed=seed)
        if form == "folder":
            write_folder(images, pets / split)
        elif form == "table":
            write_table(images, pets / split / "0.parquet")
        else:
            write_tar(images, pets / split / "0.tar")
    card = read_card(make_artifact(tmp_path / "repository"))
    card = card.model_copy(update={"training": train_on(pets)})
    said = f"the images of train have the names and classes of those that {card.name} was trained on"
    assert len(load_for_test(str(pets / "train"), None, card).test) == 12
    assert said in capsys.readouterr().err
    for other in (pets, pets / "test"):
        load_for_test(str(other), None, card)
        assert "was trained on" not in capsys.readouterr().err


def test_a_set_that_is_not_here_is_asked_for(plants: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(plants.parent)
    assert locate("plants", "pets") == "plants"
    assert locate("mnist", "pets") == "mnist"
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="pets was trained on plants, which isn't in this folder: say"):
        locate("plants", "pets")
    with pytest.raises(UsageError, match=r"trained on plants, which isn't in .*/gone: say where it is"):
        locate(str(tmp_path / "gone" / "plants"), "pets")
