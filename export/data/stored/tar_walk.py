"""A walk over a tar's headers that passes over nothing in silence, as `tarfile` alone does."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from typing import IO

from export.progress import say

_CHUNK = 1 << 20


def walk_tar(file: IO[bytes], name: str) -> Iterator[tuple[tarfile.TarFile, tarfile.TarInfo]]:
    """The members of an uncompressed tar, each with what its content can be read by, and those of tars that were
    appended to it (`cat a.tar b.tar > c.tar`), as `tar -i` reads them. What follows the tar's end and is no tar is told
    by `name`.

    Raises TarError for a damaged header: `tarfile` takes all but the first for the tar's end.
    """
    start: int | None = 0
    while start is not None:
        file.seek(start)
        with tarfile.open(fileobj=file, mode="r:") as tar:
            for member in tar:
                tar.members.clear()  # type: ignore[attr-defined]  # of millions of members none is kept
                yield tar, member
            end = tar.offset  # of the header that ended it
        found = _find_content(file, end)
        if found == end and start and end == start:
            say(f"left out what follows byte {start:,} of {name}: it is no tar")
            return
        if found == end:
            raise tarfile.ReadError(f"no header at byte {end:,}")
        start = found


def _find_content(file: IO[bytes], start: int) -> int | None:
    """The first block at or after `start` that isn't all zeros; a tar ends with blocks that are."""
    file.seek(start)
    place = start
    while chunk := file.read(_CHUNK):
        if rest := chunk.lstrip(b"\0"):
            return place + (len(chunk) - len(rest)) // tarfile.BLOCKSIZE * tarfile.BLOCKSIZE
        place += len(chunk)
    return None
