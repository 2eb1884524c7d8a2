"""Store: the interface of a repository in a bucket, behind a web server or on the hub."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

from artifact.layout import NAME_PATTERN, VERSION_PATTERN


class Entry(NamedTuple):
    """One file of a store's listing."""

    size: int | None
    """Bytes; None if the listing doesn't tell."""
    mark: str
    """A value that changes when the file is written again: an ETag, a hash or a time."""
    sha256: str = ""
    """Hexadecimal; empty if the listing doesn't tell."""


Files = Mapping[str, Entry]
"""By path within a version's folder."""

Listing = Mapping[str, Mapping[int, Files]]
"""Model -> version -> files of the version: all of them, or only the card."""


class Store(Protocol):
    """Every call raises StoreError where the store can't be reached or refuses, in one line with the remedy."""

    address: str

    def list(self) -> Listing:
        """The models, versions and files of the repository."""

    def find(self, name: str, number: int, listed: Files, paths: Iterable[str]) -> Files:
        """Those files of a version that are there; `listed` is what `list` said of it."""

    def read(self, path: str) -> bytes:
        """A small file, by its path within the repository. Raises FileNotFoundError."""

    def copy(self, path: str, target: Path, is_stopped: Callable[[], bool]) -> None:
        """Write a file of any size to `target`. Raises FileNotFoundError, and InterruptedError once `is_stopped`."""


class WritableStore(Store, Protocol):
    def write(self, path: str, content: bytes | Path) -> None:
        """Write or replace a file; no reader sees a part of it."""

    def claim(self, path: str, content: bytes | Path) -> bool:
        """Write a file that isn't there; False where it is."""


def group_files(found: Iterable[tuple[str, Entry]]) -> Listing:
    """A listing of paths within the repository; files outside of version folders are ignored."""
    listing: dict[str, dict[int, dict[str, Entry]]] = {}
    for path, entry in found:
        name, _, rest = path.partition("/")
        number, _, file = rest.partition("/")
        if file and re.fullmatch(NAME_PATTERN, name) and re.fullmatch(VERSION_PATTERN, number):
            listing.setdefault(name, {}).setdefault(int(number), {})[file] = entry
    return listing
