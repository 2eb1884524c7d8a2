from __future__ import annotations

from pathlib import Path

import pytest

from export.data.datasets import load_dataset
from export.errors import DataError
from tests.makers.stored_sets import draw_images, write_folder, write_manifest

IMAGES = draw_images(count=6)


def test_the_column_split_is_kept_and_other_test_images_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("train", "Training", "TRAIN", "test", "val", "validation")
    split = {name: words[index % 6] for index, name in enumerate(IMAGES)}
    dataset = load_dataset(str(write_manifest(IMAGES, tmp_path / "pets.csv", split)), None)
    assert dataset.train is not None
    assert (len(dataset.train), len(dataset.test)) == (6, 2)
    assert (dataset.split, dataset.title) == ("the set's own", "pets")
    said = capsys.readouterr().err
    assert "left out 2 images of val in" in said
    assert "left out 2 images of validation in" in said


def test_whole_paths_below_the_manifest_are_split_as_relative_ones(tmp_path: Path) -> None:
    path = write_manifest(IMAGES, tmp_path / "pets.csv")
    before = load_dataset(str(path), None).test
    path.write_text("path,label\n" + "".join(f"{tmp_path.resolve()}/{name},{name[:3]}\n" for name in IMAGES))
    after = load_dataset(str(path), None).test
    assert [before.name(index) for index in range(len(before))] == [after.name(index) for index in range(len(after))]


def test_classes_that_are_numbers_stand_by_number(tmp_path: Path) -> None:
    images = draw_images(("10", "9", "2"), 3)
    assert load_dataset(str(write_manifest(images, tmp_path / "a.csv")), None).labels == ("2", "9", "10")


def test_images_without_a_class_and_of_one_that_is_not_trained_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_folder(IMAGES, tmp_path)
    rows = [f"{name},{name[:3]},train" for name in IMAGES][:-3]
    rows += ["dog/003.png,dog,test", "dog/004.jpg,,test", "dog/005.png,wolf,test"]
    (tmp_path / "another.png").write_bytes(IMAGES["dog/005.png"])
    rows += ["another.png,cat,test"]
    (tmp_path / "a.csv").write_text("path,label,split\n" + "\n".join(rows))
    assert len(load_dataset(str(tmp_path / "a.csv"), None).test) == 2
    said = capsys.readouterr().err
    assert "left out 1 images of" in said
    assert "left out 1 images of the class wolf" in said


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("path\ncat/000.jpg\n", "has no column label"),
        ("name,label\n", r"begins with 'name, label'"),
        ("path,label,split\ncat/000.jpg,cat,maybe\n", "line 2: the split 'maybe'"),
        ("path,label\ncat/000.jpg,cat\ncat/000.jpg,dog\n", "names cat/000.jpg in line 2 and in line 3"),
        ("path,label\ncat/000.jpg,cat\n./cat/000.jpg,cat\n", r"names ./cat/000.jpg in line 2 \(there as cat/000.jpg\)"),
        ("path,label\ncat/000.jpg,cat\nlink/000.jpg,cat\n", "names link/000.jpg in line 2 .* and in line 3"),
        ("path,label\ncat/000.jpg,cat\n{folder}/dog/../cat/000.jpg,dog\n", "in line 2 .* and in line 3: remove one"),
        (
            "path,label\ncat/000.jpg,cat,\ncat/001.png,cat, white\n",
            "more values in line 3 than columns .* quotation marks",
        ),
        ("path,label\nhttps://a.b/c.jpg,cat\n", "line 2: https://a.b/c.jpg is a remote address"),
        ("path,label\ncat/000.jpg,cat\ncat/001.png,cat\n", "only cat has images"),
        ("path,label\ngone.jpg,cat\ngone.png,dog\n", "2 can't be decoded: .*gone.jpg"),
    ],
)
def test_a_manifest_that_is_no_data_set_says_why(tmp_path: Path, content: str, said: str) -> None:
    write_folder(IMAGES, tmp_path)
    (tmp_path / "link").symlink_to(tmp_path / "cat")
    (tmp_path / "pets.csv").write_text(content.format(folder=tmp_path))
    with pytest.raises(DataError, match=said):
        load_dataset(str(tmp_path / "pets.csv"), None)


def test_test_images_that_are_trained_on_under_another_name_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    split = {name: "test" if index % 3 == 0 else "train" for index, name in enumerate(IMAGES)}
    load_dataset(str(write_manifest(IMAGES, tmp_path / "a.csv", split)), None)
    assert "byte for byte" not in capsys.readouterr().err
    copied = {**IMAGES, "dog/003.png": IMAGES["dog/004.jpg"]}
    load_dataset(str(write_manifest(copied, tmp_path / "a.csv", split)), None)
    assert "1 of 4 test images are byte for byte among the training images, dog/003.png" in capsys.readouterr().err
