"""Disagreements: the newest images that a shadow and its model answer differently, with both answers."""

from __future__ import annotations

import secrets
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from app.aliases import Shadow
from app.catalog.traffic.images import MAX_IMAGES, Images


@dataclass
class _Kept:
    of: str
    run: str
    entries: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=MAX_IMAGES))


class Disagreements:
    """The newest disagreements of every shadow, by its name."""

    def __init__(self, images: Images) -> None:
        """`images` keeps the images of shadows with keep_images."""
        self._images = images
        self._kept: dict[str, _Kept] = {}
        self._followed: dict[str, Shadow] = {}

    def add(
        self, name: str, shadow: Shadow, of: tuple[str, float], run: tuple[str, float], image: bytes | None
    ) -> None:
        """Both answers to one image, each the label and probability of the top class. The image is kept only where the
        shadow allows it.
        """
        kept = self._kept.setdefault(name, _Kept(shadow.of, shadow.run))
        entry: dict[str, Any] = {
            "id": secrets.token_hex(8),
            "at": time.time(),
            "of": {"label": of[0], "probability": of[1]},
            "run": {"label": run[0], "probability": run[1]},
        }
        kept.entries.append(entry)
        if shadow.keep_images and image is not None:
            self._images.keep(name, entry, image)

    def newest(self, name: str) -> list[dict[str, Any]]:
        """Ready for JSON, newest first: `id`, `at` (Unix time in seconds), `of` and `run` (`label` and `probability`
        of each model's top class), and `image`, whether the image is kept.
        """
        if (kept := self._kept.get(name)) is None:
            return []
        return [{**entry, "image": self._images.holds(name, entry["id"])} for entry in reversed(kept.entries)]

    async def find_image(self, name: str, disagreement_id: str) -> bytes | None:
        """The encoded image; None where it isn't kept."""
        return await self._images.find(name, disagreement_id)

    def follow(self, shadows: Mapping[str, Shadow]) -> None:
        """Drop the disagreements of shadows that were deleted or now compare other models, and the images of shadows
        that no longer have keep_images.
        """
        # Those that have kept nothing in this process, too: images may be left of other workers and earlier starts.
        for name in {*self._kept, *self._followed, *shadows}:
            shadow, known = shadows.get(name), self._kept.get(name) or self._followed.get(name)
            if shadow is None or (known is not None and (shadow.of, shadow.run) != (known.of, known.run)):
                self._kept.pop(name, None)
                self._images.forget(name)
            elif not shadow.keep_images:
                self._images.forget(name)
        self._followed = dict(shadows)
