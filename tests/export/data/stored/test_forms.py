"""The same images are the same data set, whatever they are stored as."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from artifact.image_policy import ImagePolicy
from export.data.datasets import DataSet, load_dataset
from export.data.preprocessing import preset
from export.errors import DataError, UsageError
from export.sources.image_options import ImageOptions
from export.sources.proof_images import choose_images
from export.training.augmentation import Augmentation
from export.training.batches import Batches
from tests.makers.stored_sets import draw_images, write_folder, write_manifest, write_table, write_tar

pytest.importorskip("pyarrow", reason="pyarrow isn't installed: it is of the extra export")

POLICY = ImagePolicy(height=40, width=48, channels=3, fit="crop")
IMAGES = draw_images()
FORMS = ("manifest", "table", "tables", "tar", "tars")


def write(form: str, root: Path) -> str:
    halves = [dict(list(IMAGES.items())[part::2]) for part in (0, 1)]
    match form:
        case "folder":
            return str(write_folder(IMAGES, root / "folder"))
        case "manifest":
            return str(write_manifest(IMAGES, root / "listed/pets.csv"))
        case "table":
            return str(write_table(IMAGES, root / "pets.parquet"))
        case "tables":
            for number, half in enumerate(halves):
                write_table(half, root / f"tables/data/part-{number}.parquet", bare=False)
            return str(root / "tables")
        case "tar":
            return str(write_tar(IMAGES, root / "pets.tar"))
    for number, half in enumerate(halves):
        write_tar(half, root / f"tars/pets-{number:06}.tar", (".json", ".txt")[number])
    return str(root / "tars")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    return load_dataset(write("folder", tmp_path_factory.mktemp("folder")), None)


def batches_of(dataset: DataSet) -> list[tuple[np.ndarray, ...]]:
    assert dataset.train is not None
    batches = Batches(
        dataset.train,
        np.arange(len(dataset.train)),
        len(dataset.labels),
        POLICY,
        preset("tf", 3),
        8,
        augmentation=Augmentation(flip=True),
        seed=3,
    )
    return [batches[index] for index in range(len(batches))]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_folders_batches_and_test_images_bit_for_bit(
    form: str, folder: DataSet, tmp_path: Path
) -> None:
    dataset = load_dataset(write(form, tmp_path), None)
    assert dataset.labels == folder.labels
    assert dataset.split == folder.split
    assert 4 <= len(dataset.test) < 15
    for ours, theirs in zip(batches_of(dataset), batches_of(folder), strict=True):
        assert all(np.array_equal(one, other) for one, other in zip(ours, theirs, strict=True))
    assert dataset.test.labels.tolist() == folder.test.labels.tolist()
    for index in range(len(folder.test)):
        assert dataset.test.encoded(index) == folder.test.encoded(index)


@pytest.mark.parametrize("form", FORMS)
def test_a_proof_on_images_that_the_network_never_saw_takes_them_all(form: str, tmp_path: Path) -> None:
    images = choose_images(ImageOptions(dataset=write(form, tmp_path)), ("dog", "cat"), 3, None)
    assert len(images.samples) == len(IMAGES)
    assert np.bincount(images.samples.labels).tolist() == [20, 20]
    assert images.dataset in ("pets", "tables", "tars")


@pytest.mark.parametrize("form", FORMS)
def test_damaged_images_are_named_all_at_once_where_they_lie(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = list(IMAGES)
    for number in (3, 28):
        monkeypatch.setitem(IMAGES, names[number], IMAGES[names[number]][:-60])
    where = write(form, tmp_path)
    said = {
        "manifest": ("cat/003.png", "dog/008.jpg"),
        "table": ("pets.parquet#28/008.jpg", "pets.parquet#3/003.png"),
        "tables": ("part-0.parquet#14/dog/008.jpg", "part-1.parquet#1/cat/003.png"),
        "tar": ("pets.tar/cat/003.png", "pets.tar/dog/008.jpg"),
        "tars": ("pets-000000.tar/dog/008.jpg", "pets-000001.tar/cat/003.png"),
    }[form]
    with pytest.raises(DataError) as raised:
        load_dataset(where, None)
    assert f"2 images can't be decoded: {', '.join(said)}. " in str(raised.value)
    dataset = load_dataset(where, None, skip_damaged=True)
    assert dataset.train is not None
    assert len(dataset.train) + len(dataset.test) == 38


@pytest.mark.parametrize("suffix", ["parquet", "tar"])
def test_splits_are_read_from_the_files_names(suffix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed, (name, count) in enumerate({"train-00000-of-00001": 6, "val/0": 4, "test-00000-of-00001": 3}.items()):
        images = draw_images(count=count, seed=seed)
        path = tmp_path / f"{name}.{suffix}"
        _ = write_table(images, path) if suffix == "parquet" else write_tar(images, path)
    dataset = load_dataset(str(tmp_path), None)
    assert dataset.train is not None
    assert (len(dataset.train), len(dataset.test), dataset.split) == (12, 6, "the set's own")
    assert "left out 8 images of val" in capsys.readouterr().err


def test_test_files_alone_measure_and_do_not_train(tmp_path: Path) -> None:
    write_tar(IMAGES, tmp_path / "test-0.tar")
    assert len(load_dataset(str(tmp_path), None, seen=False).test) == 40
    with pytest.raises(DataError, match=r"none whose split is train"):
        load_dataset(str(tmp_path), None)


def test_files_of_a_split_beside_files_of_none_are_refused(tmp_path: Path) -> None:
    write_tar(IMAGES, tmp_path / "train-0.tar")
    write_tar(IMAGES, tmp_path / "more.tar")
    with pytest.raises(DataError, match=r"40 images are of no split, cat/000\.jpg the first"):
        load_dataset(str(tmp_path), None)


def test_tars_beside_tables_are_refused(tmp_path: Path) -> None:
    write_tar(IMAGES, tmp_path / "a.tar")
    write_table(IMAGES, tmp_path / "b.parquet")
    with pytest.raises(DataError, match=r"\.tar and Parquet files"):
        load_dataset(str(tmp_path), None)


def test_an_archive_beside_class_folders_is_left_out_as_before(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_folder(IMAGES, tmp_path)
    write_tar(IMAGES, tmp_path / "all.tar")
    dataset = load_dataset(str(tmp_path), None)
    assert dataset.train is not None
    assert len(dataset.train) + len(dataset.test) == 40
    assert "1 .tar" in capsys.readouterr().err


def test_a_picture_beside_the_tars_is_told_and_makes_no_class_folders(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_tar(IMAGES, tmp_path / "data/all.tar")
    write_folder({"logo.png": IMAGES["cat/001.png"]}, tmp_path)
    dataset = load_dataset(str(tmp_path), None)
    assert dataset.train is not None
    assert len(dataset.train) + len(dataset.test) == 40
    assert "left out 1 image files beside the .tar files of" in capsys.readouterr().err


def test_a_word_that_is_nothing_names_every_form() -> None:
    said = "no folder nowhere/ and no data set of that name"
    every_form = r"mnist.*class folders, a \.csv manifest, or \.parquet or \.tar files"
    with pytest.raises(UsageError, match=f"^{said}: name one of .*{every_form}"):
        load_dataset("nowhere/", None)


def test_a_file_that_is_no_data_set_is_called_a_file(tmp_path: Path) -> None:
    (tmp_path / "cat.jpg").touch()
    with pytest.raises(UsageError, match=r"^the file .*cat\.jpg is no data set: name one of "):
        load_dataset(str(tmp_path / "cat.jpg"), None)


def test_a_folder_without_a_decodable_image_is_said_with_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "IMG_1.heic").touch()
    with pytest.raises(DataError, match="no class has images: a classifier needs at least 2 classes with images"):
        load_dataset(str(tmp_path), None)
    assert "2 .heic (not decoded here: convert them to JPEG)" in capsys.readouterr().err
