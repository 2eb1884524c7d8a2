"""Folders as people have them: read right, or what is left out is named."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest

from export.data.folder_layout import find_images
from export.errors import DataError
from export.sources.proof_images import folder_images
from tests.export.data.test_class_folders import fill, jpeg, read_class_folders

Capture = pytest.CaptureFixture[str]


def fill_classes(folder: Path, classes: str, count: int = 4) -> None:
    for name in classes:
        fill(folder / name, count)


@pytest.mark.parametrize(
    ("train", "test"), [("Training", "Testing"), ("train", "valid"), ("TRAIN", "Validation"), ("training", "val")]
)
def test_splits_go_by_the_names_that_people_use(tmp_path: Path, train: str, test: str) -> None:
    fill_classes(tmp_path / train, "ab")
    fill_classes(tmp_path / test, "ab", 3)
    labels, trained, tested, split = read_class_folders(tmp_path)
    assert (labels, len(trained), len(tested), split) == (("a", "b"), 8, 6, "the set's own")


@pytest.mark.parametrize("name", ["train", "test", "Training", "valid"])
@pytest.mark.parametrize("deep", [False, True])
def test_a_class_may_be_called_as_a_split_is(tmp_path: Path, name: str, deep: bool) -> None:
    for kind in ("car", "plane", name):
        fill(tmp_path / kind / "2019" if deep else tmp_path / kind, 4)
        if deep:
            fill(tmp_path / kind / "2020", 4)
    labels, *_ = read_class_folders(tmp_path)
    assert set(labels) == {"car", "plane", name}


@pytest.mark.parametrize(
    ("train", "test"),
    [("seg_train/seg_train", "seg_test/seg_test"), ("train_images", "test_images"), ("train2", "val2")],
)
def test_splits_of_other_names_are_no_classes_and_the_advice_works(tmp_path: Path, train: str, test: str) -> None:
    fill_classes(tmp_path / train, "ab")
    fill_classes(tmp_path / test, "ab", 3)
    with pytest.raises(DataError, match="seem to be splits") as refusal:
        read_class_folders(tmp_path)
    subprocess.run(str(refusal.value).partition("two classes: ")[2], shell=True, check=True)
    labels, trained, tested, _ = read_class_folders(tmp_path)
    assert (labels, len(trained), len(tested)) == (("a", "b"), 8, 6)


def test_classes_with_a_word_of_splits_in_their_names_are_classes(tmp_path: Path) -> None:
    for kind in ("freight train", "test tube", "training shoe"):
        fill(tmp_path / kind, 4)
    assert len(read_class_folders(tmp_path)[0]) == 3


def test_a_data_set_inside_a_folder_of_its_own_is_named(tmp_path: Path) -> None:
    fill_classes(tmp_path / "my pets/train", "ab")
    fill_classes(tmp_path / "my pets/test", "ab")
    with pytest.raises(DataError, match="a single folder") as refusal:
        read_class_folders(tmp_path)
    (named,) = shlex.split(str(refusal.value).partition("name ")[2])
    assert read_class_folders(Path(named))[0] == ("a", "b")


def test_what_macos_puts_into_archives_is_no_class(tmp_path: Path, capsys: Capture) -> None:
    fill_classes(tmp_path, "ab")
    fill(tmp_path / "__MACOSX/a", 2)
    fill(tmp_path / "c", 0)
    (tmp_path / "._photo.jpg").write_bytes(b"resource fork")
    assert read_class_folders(tmp_path, skip_damaged=True)[0] == ("a", "b")
    assert "3 hidden images" in capsys.readouterr().err


def test_an_unlabeled_test_folder_is_named_and_another_one_taken(tmp_path: Path, capsys: Capture) -> None:
    fill_classes(tmp_path / "train", "ab")
    fill_classes(tmp_path / "val", "ab", 2)
    fill(tmp_path / "test/test", 5)
    assert len(read_class_folders(tmp_path)[2]) == 4
    assert "left out 5 images in test/" in capsys.readouterr().err


def test_training_images_alone_are_split(tmp_path: Path, capsys: Capture) -> None:
    fill_classes(tmp_path / "train", "ab", 20)
    fill(tmp_path / "test", 5)
    labels, train, test, split = read_class_folders(tmp_path)
    assert (labels, len(train) + len(test)) == (("a", "b"), 40)
    assert "by a hash" in split
    assert "left out 5 images in test/: it has no class folders" in capsys.readouterr().err


def test_a_second_test_folder_and_others_beside_are_named(tmp_path: Path, capsys: Capture) -> None:
    for split in ("train", "test", "val"):
        fill_classes(tmp_path / split, "ab")
    fill(tmp_path / "samples", 3)
    read_class_folders(tmp_path)
    said = capsys.readouterr().err
    assert "left out 8 images in val/: not used" in said
    assert "left out 3 images in samples/: not used" in said


def test_classes_unknown_to_training_and_loose_images_are_counted(tmp_path: Path, capsys: Capture) -> None:
    fill_classes(tmp_path / "train", "ab")
    fill_classes(tmp_path / "test", "abc", 2)
    (tmp_path / "test/loose.jpg").write_bytes(jpeg(1))
    (tmp_path / "labels.csv").touch()
    assert len(read_class_folders(tmp_path)[2]) == 4
    said = capsys.readouterr().err
    assert "left out 2 images in test/c/: it is not a class to train on" in said
    assert "left out 1 images directly in test/" in said
    assert ": 1 .csv" in said


def test_hidden_images_are_left_out_on_every_level_and_other_files_named(tmp_path: Path, capsys: Capture) -> None:
    fill_classes(tmp_path, "ab")
    fill(tmp_path / "a/.ipynb_checkpoints", 3)
    fill(tmp_path / "a/deep/.thumbs/more", 2)
    fill(tmp_path / ".hidden", 2)
    (tmp_path / "b/._000.jpg").write_bytes(b"a resource fork")
    (tmp_path / "b/photo.JFIF").write_bytes(jpeg(9))
    (tmp_path / "b/photo.HEIC").touch()
    (tmp_path / "b/notes.txt").touch()
    (tmp_path / "b/.DS_Store").touch()
    _, train, test, _ = read_class_folders(tmp_path)
    assert len(train) + len(test) == 9
    said = capsys.readouterr().err
    assert "1 .heic (not decoded here: convert them to JPEG), 1 .txt, 8 hidden images" in said
    images = folder_images(tmp_path)
    assert (len(images.samples), images.source) == (9, "9 of your images")
    assert len(find_images(tmp_path)) == 9


def test_test_folders_without_training_are_told_by_an_advice_that_works(tmp_path: Path) -> None:
    for split in ("Test", "valid"):
        fill_classes(tmp_path / split, "ab")
    with pytest.raises(DataError, match=r"Test, valid but no folder called train: name .*Test$") as caught:
        read_class_folders(tmp_path)
    named = Path(str(caught.value).rpartition(" ")[2])
    assert len(read_class_folders(named, seen=False)[2]) == 8


def test_an_empty_class_stays_a_class_for_a_network_that_is_measured(tmp_path: Path, capsys: Capture) -> None:
    fill_classes(tmp_path, "ab")
    (tmp_path / "c").mkdir()
    with pytest.raises(DataError, match=r"no images in c\. .*--skip-damaged"):
        read_class_folders(tmp_path, seen=False)
    labels, _, test, _ = read_class_folders(tmp_path, seen=False, skip_damaged=True)
    assert (labels, len(test)) == (("a", "b", "c"), 8)
    assert "no images of c: their accuracy stays unknown" in capsys.readouterr().err
    assert read_class_folders(tmp_path, skip_damaged=True)[0] == ("a", "b")
