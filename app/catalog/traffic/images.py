"""Where the images of disagreements are kept: these are the only ones that outlive their request. Here in memory;
app.catalog.traffic.image_folder has the form that writes files.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

# Of each shadow, in each process.
MOST = 50
MOST_BYTES = 16_000_000


class Images(Protocol):
    """Those of every shadow, by its name and the id of the disagreement: the newest, bounded in number and bytes."""

    def keep(self, shadow: str, disagreement: Mapping[str, Any], image: bytes) -> None:
        """The file of an image; there may be no room for it. The `id` of `disagreement` is random."""

    def holds(self, shadow: str, disagreement: str) -> bool:
        """Whether an image is still kept."""

    async def find(self, shadow: str, disagreement: str) -> bytes | None:
        """The file, where it is kept."""

    def forget(self, shadow: str) -> None:
        """All of a shadow."""


class ImagesInMemory:
    """The images of disagreements, kept in the memory of one process."""

    def __init__(self) -> None:
        self._kept: dict[str, dict[str, bytes]] = {}  # oldest first

    def keep(self, shadow: str, disagreement: Mapping[str, Any], image: bytes) -> None:
        if len(image) > MOST_BYTES:
            return
        kept = self._kept.setdefault(shadow, {})
        kept[disagreement["id"]] = image
        while len(kept) > MOST or sum(map(len, kept.values())) > MOST_BYTES:
            del kept[next(iter(kept))]

    def holds(self, shadow: str, disagreement: str) -> bool:
        return disagreement in self._kept.get(shadow, {})

    async def find(self, shadow: str, disagreement: str) -> bytes | None:
        return self._kept.get(shadow, {}).get(disagreement)

    def forget(self, shadow: str) -> None:
        self._kept.pop(shadow, None)
