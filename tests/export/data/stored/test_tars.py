from __future__ import annotations

import gzip
import tarfile
from pathlib import Path

import pytest

from export.data.datasets import load_dataset
from export.errors import DataError
from tests.makers.stored_sets import draw_images, write_tar

IMAGES = draw_images(count=6)
NUMBERED = {name.replace("cat", "0").replace("dog", "1"): content for name, content in IMAGES.items()}


def test_labels_beside_the_tars_name_classes_that_are_numbers(tmp_path: Path) -> None:
    path = write_tar(NUMBERED, tmp_path / "a.tar")
    assert load_dataset(str(path), None).labels == ("0", "1")
    (tmp_path / "labels.txt").write_text("cat\ndog\n")
    assert load_dataset(str(path), None).labels == ("cat", "dog")
    (tmp_path / "labels.txt").write_text("cat\ndog\nant\n")
    with pytest.raises(DataError, match="no images in ant"):
        load_dataset(str(path), None)


def test_labels_in_the_set_s_folder_name_the_classes_of_both_splits(tmp_path: Path) -> None:
    for split in ("train", "test"):
        write_tar(NUMBERED, tmp_path / split / "a.tar")
    (tmp_path / "labels.txt").write_text("cat\ndog\n")
    assert load_dataset(str(tmp_path), None).labels == ("cat", "dog")


def test_a_number_beyond_the_listed_classes_is_refused(tmp_path: Path) -> None:
    images = {name.replace("1/", "2/"): content for name, content in NUMBERED.items()}
    (tmp_path / "labels.txt").write_text("cat\ndog\n")
    with pytest.raises(DataError, match=r"2/000.jpg is of class 2, but the set lists 2 classes"):
        load_dataset(str(write_tar(images, tmp_path / "a.tar")), None)


def test_what_is_no_image_of_a_class_is_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    others = {"cat/000.seg.npy": b"1", "cat/900.jpg": b"1", ".hidden/1.jpg": b"1", "cat/._0.jpg": b"1"}
    load_dataset(str(write_tar(IMAGES, tmp_path / "a.tar", **others)), None)
    said = capsys.readouterr().err
    assert "1 .seg.npy, 2 hidden images" in said, said
    assert "left out 1 images of" in said


def test_images_that_are_links_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with tarfile.open(write_tar(IMAGES, tmp_path / "a.tar"), "a") as tar:
        for kind in (tarfile.LNKTYPE, tarfile.SYMTYPE):
            link = tarfile.TarInfo(f"cat/90{int(kind)}.jpg")
            link.type, link.linkname = kind, "cat/000.jpg"
            tar.addfile(link)
    load_dataset(str(tmp_path / "a.tar"), None)
    assert "left out in" in (said := capsys.readouterr().err)
    assert "2 links" in said


def test_two_images_of_one_key_are_refused(tmp_path: Path) -> None:
    path = write_tar(IMAGES, tmp_path / "a.tar", **{"cat/000.png": b"1"})
    with pytest.raises(DataError, match=r"a\.tar has two images of one key, cat/000\.jpg and cat/000\.png"):
        load_dataset(str(path), None)


def test_tars_without_classes_say_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there must be KEY\.cls"):
        load_dataset(str(write_tar(IMAGES, tmp_path / "a.tar", ".caption")), None)
    for number, text in enumerate((b"{", b"[" * 50_000)):
        path = write_tar(IMAGES, tmp_path / f"b{number}.tar", ".caption", **{"cat/000.json": text})
        with pytest.raises(DataError, match=r"what belongs to cat/000\.jpg isn't JSON"):
            load_dataset(str(path), None)


def test_damaged_tars_are_named_all_at_once(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        content = write_tar(IMAGES, tmp_path / f"{name}.tar").read_bytes()
        if name != "b":
            (tmp_path / f"{name}.tar").write_bytes(content[:40_000])
    with pytest.raises(DataError, match=r"2 tars can't be read: a\.tar \(.*\), c\.tar \(.*\)"):
        load_dataset(str(tmp_path), None)


def test_a_compressed_tar_says_to_unpack_it(tmp_path: Path) -> None:
    content = gzip.compress(write_tar(IMAGES, tmp_path / "a.tar").read_bytes())
    (tmp_path / "b.tar.gz").write_bytes(content)
    with pytest.raises(DataError, match=r"unpack it to a plain \.tar"):
        load_dataset(str(tmp_path / "b.tar.gz"), None)
    (tmp_path / "c.tar").write_bytes(content)
    with pytest.raises(DataError, match=r"unpack it to a plain \.tar"):
        load_dataset(str(tmp_path / "c.tar"), None)


def test_tars_that_were_joined_are_read_to_the_end(tmp_path: Path) -> None:
    parts = [{name: content for name, content in IMAGES.items() if name.startswith(label)} for label in ("cat", "dog")]
    joined = tmp_path / "c.tar"
    joined.write_bytes(b"".join(write_tar(part, tmp_path / f"{i}.tar").read_bytes() for i, part in enumerate(parts)))
    dataset = load_dataset(str(joined), None)
    assert dataset.train is not None
    samples = (dataset.train, dataset.test)
    assert sum(map(len, samples)) == len(IMAGES)
    assert {part.encoded(index)[0] for part in samples for index in range(len(part))} == set(IMAGES.values())


def test_a_damaged_header_is_not_taken_for_the_tar_s_end(tmp_path: Path) -> None:
    path = write_tar(IMAGES, tmp_path / "a.tar")
    with tarfile.open(path) as tar:
        headers = [member.offset for member in tar]
    content = bytearray(path.read_bytes())
    content[headers[6] : headers[6] + 100] = b"x" * 100
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"1 tars can't be read: a\.tar \(no header at byte {headers[6]:,}\)"):
        load_dataset(str(path), None)
    path.write_bytes(content[: headers[6] + 100])  # cut within a header
    with pytest.raises(DataError, match="no header at byte"):
        load_dataset(str(path), None)


def test_what_follows_the_end_of_a_tar_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_tar(IMAGES, tmp_path / "a.tar")
    size = path.stat().st_size
    path.write_bytes(path.read_bytes() + b"signed by me" * 100)
    load_dataset(str(path), None)
    assert f"left out what follows byte {size:,} of a.tar: it is no tar" in capsys.readouterr().err


def test_a_class_written_by_an_editor_of_windows_is_that_class(tmp_path: Path) -> None:
    content = next(iter(NUMBERED.values()))
    path = write_tar(NUMBERED, tmp_path / "a.tar", **{"0/900.png": content, "0/900.cls": b"\xef\xbb\xbf0\r\n"})
    (tmp_path / "labels.txt").write_text("cat\ndog\n")
    assert load_dataset(str(path), None).labels == ("cat", "dog")
