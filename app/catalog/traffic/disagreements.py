"""Disagreements: the newest images that a shadow and its model answer differently. The one owner of images that outlive
their request.
"""

from __future__ import annotations

import secrets
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from app.aliases import Shadow

# Of each shadow, in each process.
MOST = 50
MOST_BYTES = 16_000_000


@dataclass
class _Kept:
    of: str
    run: str
    entries: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=MOST))
    images: dict[str, bytes] = field(default_factory=dict)  # by the id of the entry; oldest first


class Disagreements:
    """Of every shadow, by its name."""

    def __init__(self) -> None:
        self._kept: dict[str, _Kept] = {}

    def add(
        self, name: str, shadow: Shadow, of: tuple[str, float], run: tuple[str, float], image: bytes | None
    ) -> None:
        """Both answers to one image, each the label and probability of the top class. The image is kept only where the
        shadow allows it, and only while it is one of the newest.
        """
        kept = self._kept.setdefault(name, _Kept(shadow.of, shadow.run))
        entry: dict[str, Any] = {
            "id": secrets.token_hex(8),
            "at": time.time(),
            "of": {"label": of[0], "probability": of[1]},
            "run": {"label": run[0], "probability": run[1]},
        }
        if len(kept.entries) == MOST:
            kept.images.pop(kept.entries[0]["id"], None)
        kept.entries.append(entry)
        if shadow.keep_images and image is not None and len(image) <= MOST_BYTES:
            kept.images[entry["id"]] = image
            while sum(map(len, kept.images.values())) > MOST_BYTES:
                del kept.images[next(iter(kept.images))]

    def newest(self, name: str) -> list[dict[str, Any]]:
        """As JSON has them, newest first: `id`, `at` (Unix time), `of` and `run` (label and probability), and whether
        the `image` is kept.
        """
        if (kept := self._kept.get(name)) is None:
            return []
        return [{**entry, "image": entry["id"] in kept.images} for entry in reversed(kept.entries)]

    def find_image(self, name: str, disagreement: str) -> bytes | None:
        """The image file, where it is kept."""
        return kept.images.get(disagreement) if (kept := self._kept.get(name)) is not None else None

    def follow(self, shadows: Mapping[str, Shadow]) -> None:
        """Forget those of shadows that are no more or compare others now, and images that may not be kept any more."""
        for name, kept in list(self._kept.items()):
            shadow = shadows.get(name)
            if shadow is None or (shadow.of, shadow.run) != (kept.of, kept.run):
                del self._kept[name]
            elif not shadow.keep_images:
                kept.images.clear()
