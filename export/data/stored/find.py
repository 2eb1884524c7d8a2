"""What stored set a path means, besides a folder of class folders: a manifest, a table, a tar, a folder of the last."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from export.data.folder_layout import find_images, is_hidden
from export.data.stored.listing import Listing, read_split
from export.data.stored.manifest import read_manifest
from export.data.stored.tables import read_tables
from export.data.stored.tars import read_tars
from export.errors import DataError

FILES = (".csv", ".parquet", ".tar")
"""By these a file is known as a set."""
_COMPRESSED = (".tar.gz", ".tgz", ".tar.xz", ".tar.bz2", ".tar.zst")


def is_stored(path: Path) -> bool:
    """Whether a file or folder is a set of a form that is read here. Raises DataError for a tar that is compressed."""
    if path.name.lower().endswith(_COMPRESSED) and path.is_file():
        raise DataError(f"{path} is compressed: images are read from it by offset; unpack it to a plain .tar")
    if path.is_file():
        return path.suffix.lower() in FILES
    return bool(_find_packs(path)) and not find_images(path)


def read_stored(path: Path, *, seen: bool) -> Listing:
    """The listing of what `is_stored`. Raises DataError where it can't be read."""
    suffix, where = path.suffix.lower(), str(path)
    if suffix == ".csv":
        return read_manifest(path, seen=seen)
    packs = [(path, "")] if path.is_file() else [(pack, _find_split(path, pack)) for pack in _find_packs(path)]
    kinds = {pack.suffix.lower() for pack, _ in packs}
    if len(kinds) > 1:
        raise DataError(f"{path} has both .tar and Parquet files: name a folder with one kind")
    return (read_tables if kinds == {".parquet"} else read_tars)(where, packs, seen=seen)


def name_set(path: Path) -> str:
    """A short name of a data set that a path means."""
    return path.stem if path.suffix.lower() in FILES else path.name


def _find_packs(folder: Path) -> Sequence[Path]:
    """Tars and Parquet files below a folder, hidden ones aside."""
    packs = []
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not is_hidden(name)]
        packs += [Path(place, name) for name in names if name.lower().endswith(FILES[1:]) and not is_hidden(name)]
    return sorted(packs)


def _find_split(folder: Path, pack: Path) -> str:
    """By the file's own name (train-00000-of-00004.parquet), else by its folder's; empty where neither says one."""
    for word in (pack.stem, *reversed(pack.relative_to(folder).parts[:-1])):
        if split := read_split(word):
            return split
    return ""
