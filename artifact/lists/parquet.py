"""Tables of images in Parquet, as Hugging Face's data sets have them: which column, and what a cell of it holds.

pyarrow is imported once it is needed: it belongs to extras.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO, NamedTuple

from artifact.errors import InputError

# The first of these that is there; the first two as Hugging Face's data sets have them.
_COLUMNS = ("image", "img", "path")


class Cell(NamedTuple):
    """An image of a table: its bytes, or the path where they lie; bytes may bear the path that they once had."""

    path: str | None
    content: bytes | None


def open_table(name: str, source: str | BinaryIO) -> Any:
    """pyarrow's ParquetFile of a path or an opened file. Raises InputError where it can't be read, isn't Parquet, or
    pyarrow isn't installed.
    """
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ModuleNotFoundError as error:
        raise InputError(f"{name} needs the package pyarrow, which is not installed: pip install pyarrow") from error

    try:
        return ParquetFile(source)
    except OSError as error:
        raise InputError(f"{name} can't be read: {error.strerror or error}") from error
    except ArrowException as error:
        raise InputError(f"{name} isn't Parquet: {error}") from error


@contextmanager
def refuse_damaged(name: str) -> Iterator[None]:
    """What reading the rows of a damaged table ends in, or of another table by now, becomes an InputError: pyarrow has
    OSErrors of its own for it, without a number.
    """
    from pyarrow import ArrowException

    try:
        yield
    except (OSError, IndexError, ArrowException) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise InputError(f"the rows of {name} can't be read: {reason}: copy it again") from error


def find_image_column(table: str, names: Sequence[str]) -> str:
    """Raises InputError where none of a table's columns holds images."""
    for name in _COLUMNS:
        if name in names:
            return name
    raise InputError(
        f"{table} has the columns {', '.join(names)[:100]}: one must be called path, or image, with the bytes of "
        "image files"
    )


def read_cell(row: str, value: Any) -> Cell:
    """A cell of an image column: a path, bytes, or a mapping of both, where the bytes may lie at the path. `row` is
    what messages call it. Raises InputError for anything else, such as a list of images.
    """
    path, content = (value.get("path"), value.get("bytes")) if isinstance(value, Mapping) else (None, value)
    if isinstance(content, str):
        path, content = content, None
    if isinstance(path, str | None) and isinstance(content, bytes | None):
        return Cell(path, content)
    kind = type(content if path is None else path).__name__
    raise InputError(f"{row}: its image is of the type {kind}: it must be a path, or the bytes of an image file")
