"""Parquet: images in tables, as Hugging Face's data sets have them, and the answers. pyarrow is imported once it is
needed: the command's help, and runs over folders until the first answer, do without.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from app.client.image_lists import split_address
from artifact.errors import InputError, StoreError
from artifact.lists.manifest import is_address, join_name
from artifact.lists.parquet import find_image_column, open_table, read_cell, refuse_damaged
from artifact.stores.objects import open_objects


class Row(NamedTuple):
    """One image of a table."""

    name: str
    content: bytes | None
    """None where it lies at the path or address that is its name."""


def is_table(word: str) -> bool:
    return word.lower().endswith(".parquet")


def count_rows(table: str) -> list[int]:
    """Rows of each row group. Raises InputError where it can't be read, isn't Parquet or has no column of images."""
    with _open(table) as file:
        find_image_column(table, file.schema_arrow.names)
        return [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]


def read_rows(table: str, group: int) -> Iterator[Row]:
    """The images of a row group. Raises InputError."""
    with _open(table) as file, refuse_damaged(table):
        column = find_image_column(table, file.schema_arrow.names)
        before = sum(file.metadata.row_group(earlier).num_rows for earlier in range(group))
        values = file.read_row_group(group, [column]).column(column).to_pylist()
    for number, value in enumerate(values, before):
        yield _read_row(table, number, value)


def _read_row(table: str, number: int, value: Any) -> Row:
    path, content = read_cell(f"{table}#{number}", value)
    if content is None and path:
        return Row(join_name(table, path), None)
    return Row(f"{table}#{number}" + (f"/{path}" if path else ""), content or b"")


def _open(table: str) -> Any:
    if not is_address(table):
        return open_table(table, table)
    root, path = split_address(table)
    try:
        content = open_objects(root).read(path)
    except StoreError as error:
        raise InputError(f"{table} can't be read: {error.detail}") from error
    except FileNotFoundError as error:
        raise InputError(f"{table} can't be read: {error.strerror}") from error
    return open_table(table, io.BytesIO(content))


def write_answers(answers: Iterable[tuple[str, Mapping[str, Any]]]) -> bytes:
    """A Parquet file of what `classify_all` gives: path, labels and probabilities of the most probable classes, best
    first, and error, one of which is null.
    """
    import pyarrow
    from pyarrow import parquet

    words, numbers = pyarrow.list_(pyarrow.string()), pyarrow.list_(pyarrow.float32())
    schema = {"path": pyarrow.string(), "labels": words, "probabilities": numbers, "error": pyarrow.string()}
    rows = [{"path": _to_unicode(name), **_describe(answer)} for name, answer in answers]
    buffer = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(rows, pyarrow.schema(schema.items())), buffer)
    return buffer.getvalue()


def _describe(answer: Mapping[str, Any]) -> dict[str, Any]:
    if "error" in answer:
        return {"error": answer["error"]}
    classes = answer["predictions"][0]["classes"]
    return {
        "labels": [entry["label"] for entry in classes],
        "probabilities": [entry["probability"] for entry in classes],
    }


def _to_unicode(name: str) -> str:
    """What in a file's name isn't UTF-8 becomes \\udce9, say, as in the CSV of `convserve predict`."""
    return name.encode("utf-8", "backslashreplace").decode()
