"""One image to one prediction: decoded, queued, run, before its deadline."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from app.batching.entry import Entry, Places, RowResult
from app.errors import DeadlineExceeded, RowFailed
from app.inference.decoder import Decoder, Encoded
from app.inference.model import LoadedModel
from app.inference.scores import Scores
from app.inference.session import Embedded
from artifact.images.frame import Pixels


class Timing(NamedTuple):
    """What one image cost: milliseconds in each stage, rows in its batch."""

    decode_ms: float
    queue_ms: float
    infer_ms: float
    batch_size: int


class AnsweringModel(NamedTuple):
    """Which of a cascade's two models gave a prediction."""

    model: LoadedModel
    score: float | None
    """The conformal score of its label sets; None where they aren't asked for."""
    is_alone: bool = False
    """Whether it is the first model, answering although it isn't sure enough, because the second couldn't be asked."""


class Prediction(NamedTuple):
    """What a model said of one image, and what that cost."""

    scores: Scores
    timing: Timing
    by: AnsweringModel | None = None
    """None where only one model could give it."""
    pixels: Pixels | None = None
    """The pixels that the model was given: uint8 [height, width, channels], of its card's shape."""


class Attempt:
    """One image until its prediction: decoded, then run in one of the reserved `places`, before their deadline. An
    image given as pixels, uint8 [height, width, channels] of the card's shape, is not decoded. `at_once` is as in
    Places.submit; with `embeds` the prediction has the image's embedding, where the model gives one.

    `settle` is called once, in the event loop, perhaps before the constructor returns: with the prediction, or with the
    exception: what decoding raises, RowFailed where the model can't process the image or its probabilities aren't
    finite, DeviceFailed, or DeadlineExceeded.
    """

    __slots__ = (
        *("_at_once", "_decoded", "_decoding", "_embeds", "_entry", "_model"),
        *("_pixels", "_places", "_settle", "_start", "_timer"),
    )

    def __init__(
        self,
        model: LoadedModel,
        image: Encoded | Pixels,
        places: Places[Pixels, Scores],
        decoder: Decoder,
        settle: Callable[[Prediction | Exception], None],
        at_once: bool = False,
        embeds: bool = False,
    ) -> None:
        self._model = model
        self._places = places
        self._settle: Callable[[Prediction | Exception], None] | None = settle
        self._decoding: asyncio.Future[Pixels] | None = None
        self._entry: Entry[Pixels, Scores] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._at_once = at_once
        self._embeds = embeds
        self._start = self._decoded = time.perf_counter()
        policy, batcher = model.card.image, model.batcher
        pixels = (
            image
            if isinstance(image, np.ndarray)
            else decoder.start(image, policy, batcher.idle_threads, places.queue_class)
        )
        if isinstance(pixels, asyncio.Future):
            self._decoding = pixels
            pixels.add_done_callback(self._take_pixels)
        else:
            self._submit(pixels)
            if batcher.inline:  # answered in the loop's next turn at the latest
                return
        if self._settle is not None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(places.deadline, self._expire)

    def abandon(self) -> None:
        """Nobody waits for the prediction any more: `settle` isn't called, and what hasn't begun is not done."""
        self._settle = None
        if self._timer is not None:
            self._timer.cancel()
        if self._decoding is not None:
            self._decoding.cancel()
        if self._entry is not None:
            self._places.abandon(self._entry)

    def _take_pixels(self, decoding: asyncio.Future[Pixels]) -> None:
        if decoding.cancelled() or self._settle is None:
            return
        error = decoding.exception()
        if error is None:
            self._submit(decoding.result())
        else:
            self._end(error if isinstance(error, Exception) else RuntimeError(repr(error)))

    def _submit(self, pixels: Pixels) -> None:
        self._decoded, self._pixels = time.perf_counter(), pixels
        if self._embeds:
            pixels = pixels.view(Embedded)
        self._entry = self._places.submit(pixels, self._take_result, self._at_once)

    def _take_result(self, result: RowResult[Scores] | Exception) -> None:
        if isinstance(result, Exception):
            self._end(result)
            return
        scores, decode_s = result.output, self._decoded - self._start
        if not scores.is_finite:
            self._end(RowFailed("the network's probabilities for this image are not finite"))
            return
        self._model.meters.record_image(scores, decode_s, result.queue_s, result.infer_s)
        timing = Timing(decode_s * 1e3, result.queue_s * 1e3, result.infer_s * 1e3, result.batch_size)
        self._end(Prediction(scores, timing, None, self._pixels))

    def _expire(self) -> None:
        settle = self._settle
        self.abandon()
        if settle is not None:
            waited = time.perf_counter() - self._start
            settle(DeadlineExceeded(f"no answer within {waited * 1e3:,.0f} ms: the deadline (timeout_ms) passed"))

    def _end(self, result: Prediction | Exception) -> None:
        settle, self._settle = self._settle, None
        if self._timer is not None:
            self._timer.cancel()
        if settle is not None:
            settle(result)
