"""Lists of images as CSV files: the columns path, label and split. Both stages read them; reads no image."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import NamedTuple

from artifact.errors import InputError

Columns = tuple[str, str, str]
COLUMNS: Columns = ("path", "label", "split")
"""As a manifest calls what a ManifestRow holds; only the first must be there."""


class ManifestRow(NamedTuple):
    """A line of a manifest; texts without spaces at their ends, empty where the column or the value isn't there."""

    path: str
    label: str
    split: str
    line: int
    """Its last one in the file, from 1."""


def parse_manifest(name: str, content: bytes, columns: Columns = COLUMNS) -> list[ManifestRow]:
    """The rows of a CSV file in UTF-8, whose first line names its columns, in any case: path and, where they are known,
    label and split; other columns are passed over. Raises InputError naming the line.
    """
    try:
        rows = list(_parse(name, content.decode("utf-8-sig"), columns))
    except UnicodeDecodeError as error:
        raise InputError(f"the manifest {name} isn't UTF-8 (byte {error.start:,}): save it as UTF-8") from error
    except csv.Error as error:
        raise InputError(f"the manifest {name} isn't CSV: {error}") from error
    if not rows:
        raise InputError(
            f"the manifest {name} names no images: below its first line it needs one line for each, {columns[0]} or "
            f"{columns[0]},{columns[1]}"
        )
    return rows


def _parse(name: str, text: str, columns: Columns) -> Iterator[ManifestRow]:
    rows = csv.DictReader(io.StringIO(text, newline=""))
    rows.fieldnames = there = [column.strip().lower() for column in rows.fieldnames or []]
    if columns[0] not in there:
        raise InputError(
            f"the manifest {name} begins with {', '.join(there)[:100]!r}: its first line names the columns, "
            f"{columns[0]} and, where they are known, {columns[1]} and {columns[2]}, with commas between them"
        )
    if twice := [column for column in columns if there.count(column) > 1]:
        raise InputError(f"the manifest {name} has two columns called {twice[0]}: remove or rename one")
    for row in rows:
        if any(value.strip() for value in row.get(None) or ()):
            raise InputError(
                f"the manifest {name} has more values in line {rows.line_num} than columns in its first line: put "
                'quotation marks around a value that has a comma, "daisy, white"'
            )
        path, label, split = ((row.get(column) or "").strip() for column in columns)
        if not path:
            raise InputError(
                f"the manifest {name} has no {columns[0]} in line {rows.line_num}: give one, or remove the line"
            )
        yield ManifestRow(path, label, split, rows.line_num)


def join_name(table: str, path: str) -> str:
    """The whole name of a path that a table has: it is relative to the table's own folder."""
    start = table.rpartition("/")[0]
    return path if is_address(path) or path.startswith("/") or not start else f"{start}/{path}"


def is_address(name: str) -> bool:
    return "://" in name
