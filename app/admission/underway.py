"""The images of one request until their predictions: begun a few at a time, their results gathered in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Protocol

from app.batching.fair_queue import QueueClass
from app.batching.sliced_work import SlicedWork
from app.inference.attempt import Prediction
from app.inference.decoder import Encoded
from app.observe.logs import RequestIds, log_unexpected
from artifact.errors import ConvserveError
from artifact.images.frame import Pixels

Image = Encoded | Pixels
"""The bytes of an image file, their base64 text, or uint8 [height, width, channels] as the card has them."""

ImageResult = Prediction | ConvserveError
"""What becomes of one image."""

_KNOWN = (Prediction, ConvserveError)  # a union would be made anew at each look

# This many images of one request are begun in one turn of the event loop: other requests wait for as long where images
# are decoded and run on the loop.
_IMAGES_PER_SLICE = 8


class Underway(Protocol):
    """One image, or several, until the predictions."""

    def abandon(self) -> None:
        """Nobody waits for the predictions any more: what hasn't begun is not done."""


class SeveralUnderway:
    """All images of one request that has more than one. `begin(image, take)` begins one, and calls `take` with its
    result. `settle` is called once, with a result for each image in order; never where they were abandoned.
    """

    __slots__ = ("_attempts", "_begin", "_left", "_request", "_results", "_settle")

    def __init__(
        self,
        images: Sequence[Image],
        begin: Callable[[Image, Callable[[Prediction | Exception], None]], Underway],
        settle: Callable[[list[ImageResult]], None],
        sliced_work: SlicedWork,
        queue_class: QueueClass,
        request: RequestIds,
    ) -> None:
        self._begin = begin
        self._settle: Callable[[list[ImageResult]], None] | None = settle
        self._request = request
        self._attempts: list[Underway] = []
        self._results: list[ImageResult | None] = [None] * len(images)
        self._left = len(images)
        sliced_work.begin(self._begin_each(images), queue_class)

    def abandon(self) -> None:
        """Nobody waits for the predictions any more: abandon the images that have begun, and begin no others."""
        self._settle = None
        for attempt in self._attempts:
            attempt.abandon()

    def _begin_each(self, images: Sequence[Image]) -> Iterator[None]:
        for place, image in enumerate(images):
            if self._settle is None:
                return
            self._attempts.append(self._begin(image, partial(self._take, place)))
            if (place + 1) % _IMAGES_PER_SLICE == 0:
                yield

    def _take(self, place: int, result: Prediction | Exception) -> None:
        self._results[place] = result if isinstance(result, _KNOWN) else log_unexpected(result, self._request)
        self._left -= 1
        if not self._left:
            settle, self._settle = self._settle, None  # it refers to the request: no cycle
            if settle is not None:
                settle([result for result in self._results if result is not None])
