from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from export.data.datasets import load_dataset
from export.data.labels import imagenet_synsets
from export.data.samples import FileSamples
from export.errors import DataError
from export.sources.image_options import ImageOptions
from export.sources.proof_images import choose_images


def jpeg(level: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), (level, level, level)).save(buffer, "JPEG")
    return buffer.getvalue()


def fill(folder: Path, count: int, level: int = 100) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        (folder / f"{index:03}.jpg").write_bytes(jpeg(level))


def read_class_folders(folder: Path, **options: bool) -> tuple[tuple[str, ...], FileSamples, FileSamples, str]:
    dataset = load_dataset(str(folder), None, **options)
    assert isinstance(dataset.train, FileSamples)
    assert isinstance(dataset.test, FileSamples)
    return dataset.labels, dataset.train, dataset.test, dataset.split


def test_a_split_is_made_by_the_names_and_stays_when_images_are_added(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        fill(tmp_path / name, 60)
    labels, train, test, split = read_class_folders(tmp_path)
    assert "by a hash of the file name" in split
    assert labels == ("cat", "dog")
    assert len(train) + len(test) == 120
    assert 10 <= len(test) <= 40
    before = set(test.paths)
    fill(tmp_path / "cat", 90)
    assert before <= set(read_class_folders(tmp_path)[2].paths)


def test_a_folder_that_the_network_never_saw_is_all_for_the_test(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        fill(tmp_path / name, 20)
    assert len(load_dataset(str(tmp_path), None, seen=False).test) == 40
    assert len(load_dataset(str(tmp_path), None).test) < 40


def test_the_folders_own_split_is_kept(tmp_path: Path) -> None:
    for split, count in (("train", 4), ("val", 2)):
        for name in ("cat", "dog"):
            fill(tmp_path / split / name, count)
    _, train, test, split = read_class_folders(tmp_path)
    assert split == "the set's own"
    assert (len(train), len(test)) == (8, 4)
    assert train.labels.tolist() == [0] * 4 + [1] * 4


def test_damaged_images_are_listed_and_left_out_only_when_told(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        fill(tmp_path / name, 30)
    (tmp_path / "dog/007.jpg").write_bytes(jpeg(1)[:100])
    (tmp_path / "cat/zero.png").touch()
    with pytest.raises(DataError, match=r"2 images .*cat/zero\.png, dog/007\.jpg.*--skip-damaged"):
        read_class_folders(tmp_path)
    _, train, test, _ = read_class_folders(tmp_path, skip_damaged=True)
    assert len(train) + len(test) == 59
    with pytest.raises(DataError, match=r"2 images .*--skip-damaged"):
        choose_images(ImageOptions(dataset=str(tmp_path)), ("cat", "dog"), 3, None)
    skipping = ImageOptions(dataset=str(tmp_path), skip_damaged=True)
    assert len(choose_images(skipping, ("cat", "dog"), 3, None).samples) == 59


def test_an_empty_class_and_damaged_images_are_listed_together_and_left_out_when_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(tmp_path / "ant", 5)
    fill(tmp_path / "cat", 5)
    (tmp_path / "bee").mkdir()
    (tmp_path / "dog").mkdir()
    (tmp_path / "dog/only.png").touch()
    with pytest.raises(DataError, match=r"1 images .*dog/only\.png; no images in bee, dog.*--skip-damaged"):
        read_class_folders(tmp_path)
    labels, train, test, _ = read_class_folders(tmp_path, skip_damaged=True)
    assert labels == ("ant", "cat")
    assert sorted([*train.labels, *test.labels]) == [0] * 5 + [1] * 5
    assert "left out 2 classes without images: bee, dog" in capsys.readouterr().err
    for path in (tmp_path / "cat").iterdir():
        path.unlink()
    with pytest.raises(DataError, match="only ant has images"):
        read_class_folders(tmp_path, skip_damaged=True)


def test_every_class_of_a_small_folder_is_tested(tmp_path: Path) -> None:
    names = [f"class{index}" for index in range(20)]
    for name in names:
        fill(tmp_path / name, 3)
    _, train, test, _ = read_class_folders(tmp_path)
    assert np.bincount(test.labels).tolist() == [1] * 20
    assert np.bincount(train.labels).tolist() == [2] * 20


def test_one_class_is_no_classifier(tmp_path: Path) -> None:
    fill(tmp_path / "cat", 3)
    with pytest.raises(
        DataError, match=f"'{tmp_path}' contains only one class folder, cat: a classifier needs at least 2"
    ):
        read_class_folders(tmp_path)


def tar_of(files: dict[str, bytes], mode: str = "w") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as tar:  # type: ignore[call-overload]
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def write_imagenet(home: Path) -> None:
    """The official tars, of two classes."""
    synsets = imagenet_synsets()
    home.mkdir()
    inner = {f"{synset}.tar": tar_of({f"{synset}_{i}.JPEG": jpeg(10 * i) for i in range(2)}) for synset in synsets[3:5]}
    (home / "ILSVRC2012_img_train.tar").write_bytes(tar_of(inner))
    validation = {f"ILSVRC2012_val_{i:08}.JPEG": jpeg(20 * i) for i in (2, 1, 3)}  # tars needn't be sorted
    (home / "ILSVRC2012_img_val.tar").write_bytes(tar_of(validation))
    table = np.array([(1, synsets[4]), (2, synsets[3])], dtype=[("ILSVRC2012_ID", "O"), ("WNID", "O")])
    meta = io.BytesIO()
    savemat(meta, {"synsets": table})
    kit = "ILSVRC2012_devkit_t12/data"
    (home / "ILSVRC2012_devkit_t12.tar.gz").write_bytes(
        tar_of(
            {f"{kit}/ILSVRC2012_validation_ground_truth.txt": b"1\n2\n1\n", f"{kit}/meta.mat": meta.getvalue()},
            "w:gz",
        )
    )


def test_imagenet_is_read_from_the_official_tars_without_unpacking(tmp_path: Path) -> None:
    write_imagenet(tmp_path / "imagenet")
    dataset = load_dataset("imagenet", tmp_path)
    assert dataset.train is not None
    assert dataset.train.labels.tolist() == [3, 3, 4, 4]
    assert dataset.test.labels.tolist() == [4, 3, 4]
    levels = dataset.test.pixels(np.arange(3), dataset.policy).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(levels, [20, 40, 60], atol=2)
    assert dataset.train.encoded(1)[0] == jpeg(10)


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("ILSVRC2012_img_train.tar", None, "can't be read"),
        ("ILSVRC2012_img_train.tar", tar_of({"n01484850.tar": b"no tar"}), r"can't be read \(truncated header\)"),
        ("ILSVRC2012_img_train.tar", tar_of({"a.jpg": b"1"}), "has no tars named for synsets"),
        ("ILSVRC2012_img_val.tar", None, "can't be read"),
        ("ILSVRC2012_img_val.tar", b"<html>", "can't be read"),
        ("ILSVRC2012_devkit_t12.tar.gz", None, "can't be read"),
        ("ILSVRC2012_devkit_t12.tar.gz", b"<html>", "can't be read"),
        (
            "ILSVRC2012_devkit_t12.tar.gz",
            tar_of(
                {
                    "ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt": b"1 2 1",
                    "ILSVRC2012_devkit_t12/data/meta.mat": b"no",
                },
                "w:gz",
            ),
            "is not the development kit of 2012",
        ),
    ],
)
def test_a_damaged_official_file_is_named(tmp_path: Path, name: str, content: bytes | None, complaint: str) -> None:
    write_imagenet(tmp_path / "imagenet")
    file = tmp_path / "imagenet" / name
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 3] if content is None else content)
    with pytest.raises(DataError, match=f"^{name} {complaint}.*: replace it by the original file"):
        load_dataset("imagenet", tmp_path)


def test_imagenet_folders_take_their_classes_from_the_synsets(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for split in ("train", "val"):
        fill(tmp_path / "imagenet" / split / imagenet_synsets()[207], 2)
        fill(tmp_path / "imagenet" / split / "notes", 1)
    assert load_dataset("imagenet", tmp_path).test.labels.tolist() == [207, 207]
    assert "left out 1 images in train/notes/: it is not a class" in capsys.readouterr().err


def test_missing_imagenet_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "imagenet").mkdir()
    with pytest.raises(DataError, match=r"ILSVRC2012_img_train\.tar"):
        load_dataset("imagenet", tmp_path)
