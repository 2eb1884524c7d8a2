"""The files of a version's folder as its card lists them: by path, size and sha256."""

from __future__ import annotations

import hashlib
from pathlib import Path, PurePosixPath
from typing import Annotated

from pydantic import AfterValidator, Field, NonNegativeInt

from artifact.documents import Part
from artifact.layout import CARD_FILE, CLASSIFIER_FILE, GOLDEN_FILE, GOLDEN_FOLDER, MODEL_FILE

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


def _check_path(path: str) -> str:
    parts = PurePosixPath(path).parts
    if not parts or "/".join(parts) != path or ".." in parts or "\\" in path or not path.isprintable():
        raise ValueError(f"{path!r} is not a path within a version's folder")
    return path


FilePath = Annotated[str, AfterValidator(_check_path)]
"""Within a version's folder, its parts joined by slashes."""


class ListedFile(Part):
    """What a whole file is known by."""

    size: NonNegativeInt
    """Bytes."""
    sha256: Sha256


def always_needed(features: bool) -> tuple[str, ...]:
    """The files without which no version is served, whatever its card lists; `features` as the card has it."""
    classifier = (CLASSIFIER_FILE,) if features else ()
    return (MODEL_FILE, f"{GOLDEN_FOLDER}/{GOLDEN_FILE}", *classifier)


def list_files(folder: Path) -> dict[str, ListedFile]:
    """Size and sha256 of every file of a version's folder but the card itself, by path within it, sorted.

    Raises OSError where one can't be read.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / CARD_FILE)
    return {
        path.relative_to(folder).as_posix(): ListedFile(size=path.stat().st_size, sha256=hash_file(path))
        for path in files
    }


def hash_file(path: Path) -> str:
    """The sha256 of a file, in hexadecimal. Raises OSError where it can't be read."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
