"""Where the images of disagreements are kept, the only images that outlive their request: the interface, and the form
that keeps them in memory. app.catalog.traffic.image_folder has the form that writes files.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

# Limits for each shadow in each process.
MAX_IMAGES = 50
MAX_BYTES = 16_000_000


class Images(Protocol):
    """The newest images of every shadow, by its name and the id of the disagreement, bounded in number and bytes."""

    def keep(self, shadow: str, disagreement: Mapping[str, Any], image: bytes) -> None:
        """Keep an encoded image under the `id` of `disagreement`, which app.catalog.traffic.disagreements describes.
        There may be no room for it.
        """

    def holds(self, shadow: str, disagreement_id: str) -> bool:
        """Whether an image is still kept."""

    async def find(self, shadow: str, disagreement_id: str) -> bytes | None:
        """The encoded image; None where it isn't kept."""

    def forget(self, shadow: str) -> None:
        """Drop all images of a shadow."""


class ImagesInMemory:
    """The images of disagreements, kept in the memory of one process."""

    def __init__(self) -> None:
        self._kept: dict[str, dict[str, bytes]] = {}  # oldest first

    def keep(self, shadow: str, disagreement: Mapping[str, Any], image: bytes) -> None:
        if len(image) > MAX_BYTES:
            return
        kept = self._kept.setdefault(shadow, {})
        kept[disagreement["id"]] = image
        while len(kept) > MAX_IMAGES or sum(map(len, kept.values())) > MAX_BYTES:
            del kept[next(iter(kept))]

    def holds(self, shadow: str, disagreement_id: str) -> bool:
        return disagreement_id in self._kept.get(shadow, {})

    async def find(self, shadow: str, disagreement_id: str) -> bytes | None:
        return self._kept.get(shadow, {}).get(disagreement_id)

    def forget(self, shadow: str) -> None:
        self._kept.pop(shadow, None)
