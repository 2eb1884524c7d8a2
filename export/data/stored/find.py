"""Which kind of data set a path is, other than a folder of class folders: a manifest, a Parquet table, a tar, or a
folder of tables or tars.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from artifact.lists.walk import walk_folders
from export.data.folder_layout import find_images, is_hidden
from export.data.stored.listing import Listing, read_split
from export.data.stored.manifest import read_manifest
from export.data.stored.tables import read_tables
from export.data.stored.tars import read_tars
from export.errors import DataError
from export.progress import say

FILES = (".csv", ".parquet", ".tar")
"""By these a file is known as a set."""
LEAST_CLASSES = 2
"""A folder with images in at least this many subfolders is a data set of class folders, whatever else it holds."""
_COMPRESSED = (".tar.gz", ".tgz", ".tar.xz", ".tar.bz2", ".tar.zst")


def is_stored(path: Path) -> bool:
    """Whether a file or folder is a set of a form that is read here: a logo beside the tars doesn't make class folders.
    Raises DataError for a tar that is compressed.
    """
    if path.name.lower().endswith(_COMPRESSED) and path.is_file():
        raise DataError(f"{path} is compressed: images are read from it by offset; unpack it to a plain .tar")
    if path.is_file():
        return path.suffix.lower() in FILES
    return bool(_find_packs(path)) and len({image.parent for image in find_images(path)}) < LEAST_CLASSES


def read_stored(path: Path, *, seen: bool) -> Listing:
    """The listing of what `is_stored`. Raises DataError where it can't be read."""
    suffix, where = path.suffix.lower(), str(path)
    if suffix == ".csv":
        return read_manifest(path, seen=seen)
    packs = [(path, "")] if path.is_file() else [(pack, _find_split(path, pack)) for pack in _find_packs(path)]
    kinds = {pack.suffix.lower() for pack, _ in packs}
    if path.is_dir() and (images := len(find_images(path))):
        say(f"left out {images:,} image files beside the {' and '.join(sorted(kinds))} files of {where}")
    if len(kinds) > 1:
        raise DataError(f"{path} has both .tar and Parquet files: name a folder with one kind")
    return (read_tables if kinds == {".parquet"} else read_tars)(where, packs, seen=seen)


def name_set(path: Path) -> str:
    """A short name of a data set that a path means."""
    return path.stem if path.suffix.lower() in FILES else path.name


def _find_packs(folder: Path) -> Sequence[Path]:
    """Tars and Parquet files below a folder, hidden ones aside."""
    packs = []
    for place, folders, names in walk_folders(folder):
        folders[:] = [name for name in folders if not is_hidden(name)]
        packs += [Path(place, name) for name in names if name.lower().endswith(FILES[1:]) and not is_hidden(name)]
    return sorted(packs)


def _find_split(folder: Path, pack: Path) -> str:
    """By the file's own name (train-00000-of-00004.parquet), else by its folder's; empty where neither says one."""
    for word in (pack.stem, *reversed(pack.relative_to(folder).parts[:-1])):
        if split := read_split(word):
            return split
    return ""
