"""Tally: the summary of many answers: images, failures, images per second and, where the labels are known, accuracy."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from app.client.image_lists import ListedImage

_NAMED = 3  # labels named, of those that aren't classes


class Tally:
    """`classes` are the model's labels. Times count from when it is made."""

    def __init__(self, classes: frozenset[str]) -> None:
        self.done = self.failed = 0
        self._classes = classes
        self._began = time.monotonic()
        self._labeled = self._right = 0
        self._any_told = False
        self._unknown: Counter[str] = Counter()

    def note(self, image: ListedImage, answer: Mapping[str, Any]) -> None:
        """One image has its answer, as `classify_all` gives it."""
        self.done += 1
        self.failed += "error" in answer
        if not image.label:
            return
        is_class = image.label in self._classes
        self._any_told |= is_class or not image.is_folder
        if not is_class:
            self._unknown[image.label] += 1
        elif "error" not in answer:
            self._labeled += 1
            self._right += answer["predictions"][0]["classes"][0]["label"] == image.label

    def summarize(self) -> Iterator[str]:
        """Lines for people."""
        seconds = time.monotonic() - self._began
        yield (
            f"{self.done:,} images, {self.failed:,} failed, {seconds:,.1f} s, "
            f"{self.done / max(seconds, 1e-9):,.1f} images/s"
        )
        if self._labeled:
            yield f"accuracy {self._right / self._labeled:.2%}: {self._right:,} right of {self._labeled:,} with a label"
        if self._unknown and self._any_told:  # folders whose names are no classes, all of them, aren't class folders
            several = len(self._unknown) > _NAMED
            named = ", ".join(sorted(self._unknown)[:_NAMED]) + (", ..." if several else "")
            yield f"{self._unknown.total():,} images have labels that are not classes of the model: {named}"
