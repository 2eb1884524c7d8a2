"""Block: a part of the input with the name of its output file. The same input gives the same blocks."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from app.client.image_lists import list_images
from artifact.errors import InputError
from deploy.batch.tables import count_rows, is_table

_DIGITS = 8


class Block(NamedTuple):
    """Images that are classified together, by one worker."""

    name: str
    images: Sequence[str] = ()
    """Paths or addresses; empty for a table."""
    table: str = ""
    """The Parquet file whose row group `group` holds the images."""
    group: int = 0
    rows: int = 0


def find_blocks(words: Sequence[str], block_images: int) -> list[Block]:
    """Divide the input into blocks: of `block_images` images each that `list_images` finds, and one for each row group
    of a .parquet file. Raises InputError and StoreError.
    """
    images = [image.name for image in list_images(word for word in words if not is_table(word))]
    starts = range(0, len(images), block_images)
    blocks = [_take(images[start : start + block_images], start) for start in starts]
    for word in filter(is_table, words):
        blocks += _divide(word)
    if not blocks:
        raise InputError(f"{', '.join(words)[:200]}: no row holds an image")
    (name, times), *_ = Counter(block.name for block in blocks).most_common(1)
    if times > 1:
        raise InputError(f"two tables are called {name[: -_DIGITS - 1]}.parquet: one run takes one of them")
    return blocks


def digest(blocks: Iterable[Block]) -> str:
    """A hash of the input's blocks."""
    found = hashlib.sha256()
    for block in blocks:
        found.update(repr(tuple(block)).encode())
    return found.hexdigest()


def _take(images: Sequence[str], start: int) -> Block:
    return Block(f"images-{start:0{_DIGITS}}", images, rows=len(images))


def _divide(table: str) -> list[Block]:
    stem = Path(table).stem
    return [
        Block(f"{stem}-{group:0{_DIGITS}}", table=table, group=group, rows=rows)
        for group, rows in enumerate(count_rows(table))
        if rows
    ]
