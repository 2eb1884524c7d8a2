"""A CSV manifest as a data set: path, label and, where it says one, split."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from artifact.errors import InputError
from artifact.lists.manifest import COLUMNS, Columns, ManifestRow, is_address, join_name, parse_manifest
from export.data.samples import FileSamples
from export.data.stored.listing import Entry, Listing, make_listing, read_split
from export.errors import DataError


def read_manifest(path: Path, *, seen: bool) -> Listing:
    """The images of a manifest, which lie where it says, relative to its own folder.

    Raises DataError where it can't be read, or says something of a line that can't be: it names the line.
    """
    rows = read_rows(path)
    if not any(row.label for row in rows):
        raise DataError(
            f"the manifest {path} has no column label, or an empty one: a data set's manifest gives each image's class"
        )
    entries = [_read(path, row) for row in rows]
    files = [Path(join_name(str(path), row.path)) for row in rows]
    _refuse_twice(path, rows, files)
    samples = FileSamples(files, np.full(len(rows), -1))
    return make_listing(str(path), entries, samples, None, seen=seen)


def read_rows(path: Path, columns: Columns = COLUMNS) -> list[ManifestRow]:
    """The rows of a manifest, whose columns may have names of their own. Raises DataError where it can't be read."""
    try:
        return parse_manifest(str(path), path.read_bytes(), columns)
    except InputError as error:
        raise DataError(str(error)) from error
    except OSError as error:
        raise DataError(f"the manifest {path} can't be read: {error.strerror}") from error


def _read(path: Path, row: ManifestRow) -> Entry:
    if is_address(row.path):
        raise DataError(
            f"{path}, line {row.line}: {row.path} is a remote address: a data set's images must be on this machine"
        )
    split = read_split(row.split)
    if row.split and split is None:
        raise DataError(f"{path}, line {row.line}: the split {row.split!r} is neither train nor test nor validation")
    name = Path(row.path)
    if name.is_absolute() and name.is_relative_to(path.resolve().parent):
        name = name.relative_to(path.resolve().parent)
    return Entry(name.as_posix(), row.label, split or "")


def _refuse_twice(path: Path, rows: Sequence[ManifestRow], files: Sequence[Path]) -> None:
    """An image that is named twice, in whatever words, could be trained on and tested on."""
    first: dict[str, ManifestRow] = {}
    folders = {folder: os.path.realpath(folder) for folder in {file.parent for file in files}}
    for row, file in zip(rows, files, strict=True):
        before = first.setdefault(f"{folders[file.parent]}/{file.name}", row)
        if before is not row:
            other = "" if before.path == row.path else f" (there as {before.path})"
            raise DataError(f"{path} names {row.path} in line {before.line}{other} and in line {row.line}: remove one")
