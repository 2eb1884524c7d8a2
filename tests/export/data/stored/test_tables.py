from __future__ import annotations

import json
import os
import resource
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest

from export.data.datasets import load_dataset
from export.data.stored import tables
from export.errors import DataError
from tests.makers.stored_sets import draw_images, write_folder, write_table

pyarrow = pytest.importorskip("pyarrow", reason="pyarrow isn't installed: it is of the extra export")
parquet = pytest.importorskip("pyarrow.parquet")

IMAGES = draw_images(count=6)


def write_columns(file: Path, columns: dict[str, list[Any]], features: dict[str, Any] | None = None) -> str:
    table = pyarrow.table(columns)
    if features is not None:
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    parquet.write_table(table, file)
    return str(file)


def test_paths_bytes_and_names_as_text_are_read(tmp_path: Path) -> None:
    write_folder(IMAGES, tmp_path)
    labels = [name[:3] for name in IMAGES]
    for columns in (
        {"path": list(IMAGES), "label": labels},
        {"img": list(IMAGES.values()), "labels": labels},
        {"image": [{"bytes": None, "path": name} for name in IMAGES], "label": labels},
    ):
        dataset = load_dataset(write_columns(tmp_path / "a.parquet", columns), None)
        assert dataset.train is not None
        assert (dataset.labels, len(dataset.train) + len(dataset.test)) == (("cat", "dog"), 12)
        assert dataset.test.encoded(0)[0] in IMAGES.values()


def test_the_only_column_with_named_classes_is_taken_whatever_it_is_called(tmp_path: Path) -> None:
    numbers = [int(name[:3] == "dog") for name in IMAGES]
    features = {"species": {"names": ["cat", "dog"], "_type": "ClassLabel"}, "image": {"_type": "Image"}}
    columns = {"image": list(IMAGES.values()), "species": numbers, "id": numbers}
    assert load_dataset(write_columns(tmp_path / "a.parquet", columns, features), None).labels == ("cat", "dog")
    with pytest.raises(DataError, match="has the columns image, species, id: one must be called label"):
        load_dataset(write_columns(tmp_path / "a.parquet", columns), None)


def test_rows_without_a_class_are_told_and_others_without_a_name_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    features = {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}
    images, numbers = list(IMAGES.values()), [int(name[:3] == "dog") for name in IMAGES]
    columns = {"image": images, "label": [-1, None, *numbers[2:]]}
    dataset = load_dataset(write_columns(tmp_path / "a.parquet", columns, features), None)
    assert dataset.train is not None
    assert len(dataset.train) + len(dataset.test) == 10
    assert "left out 2 images of" in capsys.readouterr().err
    columns["label"] = [7, *numbers[1:]]
    with pytest.raises(DataError, match=r"a\.parquet#0+ is of class 7, but the set lists 2 classes"):
        load_dataset(write_columns(tmp_path / "a.parquet", columns, features), None)


def test_a_column_of_numbers_that_pandas_left_a_gap_in_has_the_classes_that_it_had(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = list(IMAGES.values())
    columns = {"image": images, "label": [float("nan"), *[float(2 + 8 * (index % 2)) for index in range(11)]]}
    assert load_dataset(write_columns(tmp_path / "a.parquet", columns), None).labels == ("2", "10")
    assert "left out 1 images of" in capsys.readouterr().err
    columns["label"] = [[1]] * 12
    with pytest.raises(DataError, match=r"the column label has \[1\], which is no class"):
        load_dataset(write_columns(tmp_path / "a.parquet", columns), None)


def test_tables_of_other_classes_are_refused(tmp_path: Path) -> None:
    write_table(IMAGES, tmp_path / "a.parquet")
    write_table(IMAGES, tmp_path / "b.parquet", ("dog", "cat"))
    with pytest.raises(DataError, match=r"b\.parquet has other columns or classes than a\.parquet"):
        load_dataset(str(tmp_path), None)


def test_what_is_no_table_of_images_says_why(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"no")
    with pytest.raises(DataError, match=r"a\.parquet isn't Parquet"):
        load_dataset(str(tmp_path / "a.parquet"), None)
    with pytest.raises(DataError, match="has the columns text"):
        load_dataset(write_columns(tmp_path / "b.parquet", {"text": ["a"]}), None)
    several = {"image": [[content] for content in IMAGES.values()], "label": [name[:3] for name in IMAGES]}
    with pytest.raises(
        DataError, match=r"c\.parquet#0: its image is of the type list: it must be a path, or the bytes"
    ):
        load_dataset(write_columns(tmp_path / "c.parquet", several), None)


def test_paths_where_nothing_lies_are_named_with_what_cannot_be_decoded(tmp_path: Path) -> None:
    write_folder(IMAGES, tmp_path)
    columns = {"path": [*IMAGES, "gone.jpg"], "label": [*(name[:3] for name in IMAGES), "cat"]}
    with pytest.raises(DataError, match=r"1 images can't be decoded: a\.parquet#12/gone\.jpg"):
        load_dataset(write_columns(tmp_path / "a.parquet", columns), None)


def test_numbers_without_names_are_classes_of_those_names(tmp_path: Path) -> None:
    columns = {"image": list(IMAGES.values()), "label": [7 if name[:3] == "dog" else 12 for name in IMAGES]}
    dataset = load_dataset(write_columns(tmp_path / "a.parquet", columns), None)
    assert dataset.labels == ("7", "12")
    assert sorted({0, 1}) == sorted(set(dataset.test.labels.tolist()))


def test_a_disk_without_room_for_the_copy_is_told_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_table(IMAGES, tmp_path / "a.parquet")
    usage = namedtuple("usage", "free")(1000)
    monkeypatch.setattr(tables.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(DataError, match="set TMPDIR"):
        load_dataset(str(path), None)


@pytest.mark.parametrize("raised", [None, pyarrow.ArrowInvalid("no such page")])
def test_a_damaged_table_is_named_and_not_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raised: Exception | None
) -> None:
    path = write_table(IMAGES, tmp_path / "a.parquet")

    def fail(*_: Any, **__: Any) -> None:
        assert raised is not None
        raise raised

    if raised is None:
        content = bytearray(path.read_bytes())
        content[4:60] = b"\xff" * 56  # the first page's header: the footer is whole
        path.write_bytes(content)
    else:
        monkeypatch.setattr(parquet.ParquetFile, "iter_batches", fail)
    with pytest.raises(DataError, match=r"^the rows of .*a\.parquet can't be read: .*: copy it again$"):
        load_dataset(str(path), None)


@pytest.mark.parametrize("entry", ["no JSON", "[" * 200_000, "[]", '{"info": []}', '{"info": {"features": [1]}}'])
def test_metadata_of_another_form_are_refused(tmp_path: Path, entry: str) -> None:
    path = write_table(IMAGES, tmp_path / "a.parquet")
    parquet.write_table(parquet.read_table(path).replace_schema_metadata({"huggingface": entry}), path)
    with pytest.raises(DataError, match=r"a\.parquet has metadata of Hugging Face in another form"):
        load_dataset(str(path), None)


def test_more_tables_than_a_process_may_open_files_are_read(tmp_path: Path) -> None:
    for index, name in enumerate(IMAGES):
        write_table({name: IMAGES[name]}, tmp_path / f"{index:02}.parquet")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = [os.open(os.devnull, os.O_RDONLY) for _ in range(len(IMAGES) // 2)]  # the process may have gaps below others
    for number in free:
        os.close(number)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(free) + 1, limits[1]))
    try:
        dataset = load_dataset(str(tmp_path), None)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert dataset.train is not None
    assert len(dataset.train) + len(dataset.test) == len(IMAGES)
