"""Parquet as a data set, as Hugging Face's are: a column of images, a column of classes, their names in the schema.

A table is compressed, and can't be read by offset: its images are copied once, a few rows at a time, into a file that
goes when the process ends.
"""

from __future__ import annotations

import math
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from artifact.errors import InputError
from artifact.json import read_json
from artifact.lists.manifest import is_address, join_name
from artifact.lists.parquet import Cell, find_image_column, open_table, read_cell, refuse_damaged
from export.data.stored.listing import Entry, Listing, make_listing
from export.data.stored.packed import PackedSamples, Scratch
from export.errors import DataError
from export.progress import Progress

ROWS = 32
"""Read at once."""
_LABEL_COLUMNS = ("label", "labels")


class _Schema(NamedTuple):
    image: str
    label: str
    classes: tuple[str, ...] | None
    """None where the schema doesn't name them."""


class _Row(NamedTuple):
    table: str
    number: int
    """In the table, from 0."""
    path: str | None
    label: Any
    split: str
    offset: int
    """In the copy."""
    size: int


def read_tables(where: str, tables: Sequence[tuple[Path, str]], *, seen: bool) -> Listing:
    """The images of some Parquet files, each with the split that its name says, or an empty one.

    Raises DataError for tables that aren't Parquet, are damaged, have no columns of images and classes or other classes
    than the first, and where the disk has no room for the copy.
    """
    try:
        schemas, counts = zip(*(_read_schema(path) for path, _ in tables), strict=True)
        for (path, _), schema in zip(tables, schemas, strict=True):
            if schema != schemas[0]:
                raise DataError(f"{path.name} has other columns or classes than {tables[0][0].name}: name one of them")
        _refuse_full_disk(sum(path.stat().st_size for path, _ in tables))
        copy = Scratch()
        rows = list(_copy_rows(tables, sum(counts), schemas[0], copy))
    except InputError as error:
        raise DataError(str(error)) from error
    except OSError as error:
        raise DataError(f"{where}: its images can't be copied to {tempfile.gettempdir()}: {error.strerror}") from error
    places = np.array([(0, row.offset, row.size) for row in rows], np.int64).reshape(-1, 3)
    samples = PackedSamples([copy], places, np.full(len(rows), -1), [_name(row) for row in rows])
    return make_listing(
        where,
        _describe(rows, schemas[0].label, named=schemas[0].classes is not None),
        samples,
        schemas[0].classes,
        seen=seen,
    )


def _read_schema(path: Path) -> tuple[_Schema, int]:
    """The schema and the number of rows."""
    with open_table(str(path), str(path)) as file:
        count = file.metadata.num_rows
        names, metadata = file.schema_arrow.names, file.schema_arrow.metadata or {}
    image = find_image_column(str(path), names)
    features = _read_features(path, metadata.get(b"huggingface", b"{}"))
    listed = [name for name in names if isinstance(features.get(name), dict) and features[name].get("names")]
    found = next((name for name in (*_LABEL_COLUMNS, *(listed if len(listed) == 1 else ())) if name in names), None)
    if found is None:
        raise DataError(
            f"{path} has the columns {', '.join(names)[:100]}: one must be called label, and give each image's class"
        )
    return _Schema(image, found, tuple(features[found]["names"]) if found in listed else None), count


def _read_features(path: Path, metadata: bytes) -> dict[str, Any]:
    """What Hugging Face wrote of each column. Raises DataError."""
    try:
        features = read_json(metadata).get("info", {}).get("features", {})
        return dict(features)
    except (ValueError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path} has metadata of Hugging Face in another form: remove it, or write the table again"
        ) from error


def _refuse_full_disk(size: int) -> None:
    """A table's images are about as large as the table: they are compressed already."""
    folder = tempfile.gettempdir()
    if size > (free := shutil.disk_usage(folder).free):
        raise DataError(
            f"images in Parquet are copied to {folder}, to be read in any order: they take {size / 1e9:,.1f} GB, "
            f"{free / 1e9:,.1f} GB are free; set TMPDIR to a folder on a larger disk"
        )


def _copy_rows(tables: Sequence[tuple[Path, str]], count: int, schema: _Schema, copy: Scratch) -> Iterator[_Row]:
    """One table is open at a time: a process may open about a thousand files."""
    with Progress("copying", count) as progress:
        for path, split in tables:
            number = 0
            for batch in _read_batches(path, schema):
                for value, label in zip(
                    batch.column(schema.image).to_pylist(), batch.column(schema.label).to_pylist(), strict=True
                ):
                    cell = read_cell(f"{path.name}#{number}", value)
                    content = _read_content(path, number, cell)
                    yield _Row(path.name, number, cell.path, label, split, copy.size, len(content))
                    copy.append(content)
                    number += 1
                progress.advance(len(batch))


def _read_batches(path: Path, schema: _Schema) -> Iterator[Any]:
    with open_table(str(path), str(path)) as file, refuse_damaged(str(path)):
        yield from file.iter_batches(ROWS, columns=[schema.image, schema.label], use_threads=False)


def _read_content(table: Path, number: int, cell: Cell) -> bytes:
    """Empty where there is nothing, or no file: it is counted with those that can't be decoded."""
    if cell.content is not None or not cell.path:
        return cell.content or b""
    if is_address(cell.path):
        raise DataError(
            f"{table.name}#{number}: {cell.path} is a remote address: a data set's images must be on this machine"
        )
    try:
        return Path(join_name(str(table), cell.path)).read_bytes()
    except OSError:
        return b""


def _name(row: _Row) -> str:
    return f"{row.table}#{row.number}" + (f"/{row.path}" if row.path else "")


def _describe(rows: Sequence[_Row], column: str, *, named: bool) -> list[Entry]:
    """Images are called by their paths; by their rows where not every one has a path of its own within its class."""
    times = Counter((row.path, str(row.label)) for row in rows)
    by_path = all(row.path and times[row.path, str(row.label)] == 1 for row in rows)
    return [
        Entry(
            (row.path or "") if by_path else f"{row.table}#{row.number:09}",
            _read_label(f"{row.table}: the column {column}", row.label, named),
            row.split,
        )
        for row in rows
    ]


def _read_label(column: str, value: Any, named: bool) -> str | int | None:
    """-1 is Hugging Face's word for a class that isn't known. pandas' is NaN, and makes a column of whole numbers that
    has it one of float64. Raises DataError for what is no class.
    """
    if isinstance(value, float):
        value = None if math.isnan(value) else int(value) if value.is_integer() else value
    if value is None or value == -1:
        return None
    if not isinstance(value, str | int):
        raise DataError(f"{column} has {str(value)[:50]}, which is no class: a class is text or a whole number")
    return int(value) if named else str(value)
