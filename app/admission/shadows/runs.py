"""ShadowRuns: has shadows run the images that other models have answered, without making any caller wait.

Answered images wait here, a bounded number of them, for a moment in which the process has nothing to do
(app.admission.shadows.moments). Then the shadow runs a few of them, and both answers are compared.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from random import Random
from typing import NamedTuple

import numpy as np

from app.admission.shadows.lowest_priority import LowestPriorityRows
from app.admission.shadows.moments import IdleMoments
from app.admission.shadows.pairs import Pair, Pairs
from app.catalog.catalog import Catalog
from app.inference.attempt import Attempt, Prediction, Timing
from app.inference.decoder import Decoder, Encoded, to_bytes
from app.inference.model import LoadedModel
from artifact.errors import ConvserveError
from artifact.images.frame import Pixels

log = logging.getLogger(__name__)

Image = Encoded | Pixels
Settle = Callable[[list[Prediction | ConvserveError]], None]

MOST_WAITING = 1_024
MOST_WAITING_BYTES = 64_000_000
# The rows that a shadow runs at once may delay a caller who comes meanwhile, by at most this many times the time of one
# row.
_MOST_TIMES = 2.0
_PATIENCE_S = 60.0


class _Seen(NamedTuple):
    """One answered image, and what the comparison needs of its answer."""

    name: str
    pair: Pair
    image: Image | None
    pixels: Pixels | None
    size: int
    """Bytes of `image` and `pixels`."""
    label: str
    top: int
    probability: float
    timing: Timing


class ShadowRuns:
    """The shadows of one process. Owned by the event loop."""

    def __init__(self, catalog: Catalog, decoder: Decoder, random: Random | None = None) -> None:
        """`random` chooses the images."""
        self._traffic = catalog.traffic
        self._decoder = decoder
        self._random = random or Random()
        self._pairs = Pairs(catalog)
        self._disagreements = catalog.disagreements
        self._waiting: deque[_Seen] = deque()
        self._waiting_bytes = 0
        self._is_full = False
        self._missed: dict[LoadedModel, int] = {}  # images that found no room, by what answers them
        self._running = 0
        self._moments = IdleMoments(catalog, self._run)
        self._catalog = catalog
        catalog.call_when_changed(self._forget_gone)

    @property
    def waiting(self) -> int:
        """Images that wait for an idle moment."""
        return len(self._waiting)

    def follow(self, model: LoadedModel, images: Sequence[Image], settle: Settle) -> Settle:
        """What to call in place of `settle`: it calls `settle`, and then queues what was answered for the shadows.
        `model` is the one that answered, unless a prediction names another. Where no more images can wait, it is
        `settle` itself.
        """
        if not self._is_full:
            return partial(self._settle, model, images, settle)
        # At full load every image comes here, and must cost next to nothing: those that a shadow would have taken are
        # drawn once per turn of the loop.
        if not self._missed:
            asyncio.get_running_loop().call_soon(self._count_missed)
        self._missed[model] = self._missed.get(model, 0) + len(images)
        return settle

    def _count_missed(self) -> None:
        """Count the images that came in this turn of the loop and can't wait: of a cascade as the first model's."""
        for model, images in self._missed.items():
            for name, shadow in self._traffic.shadows.items():
                if (pair := self._pairs.find_for(name, shadow, model)) is not None:
                    pair.meters.count_dropped(sum(self._random.random() < shadow.share for _ in range(images)))
        self._missed.clear()

    def _settle(
        self, model: LoadedModel, images: Sequence[Image], settle: Settle, results: list[Prediction | ConvserveError]
    ) -> None:
        settle(results)
        for image, result in zip(images, results, strict=True):
            if isinstance(result, Prediction):
                self._show(model if result.by is None else result.by.model, image, result)

    def _show(self, model: LoadedModel, image: Image, prediction: Prediction) -> None:
        """Queue an answered image for the shadows that draw it."""
        for name, shadow in self._traffic.shadows.items():
            pair = self._pairs.find_for(name, shadow, model)
            if pair is None or self._random.random() >= shadow.share:
                continue
            if self._is_full:  # since the request came
                pair.meters.count_dropped()
            else:
                self._queue(name, pair, image, prediction)

    def _queue(self, name: str, pair: Pair, image: Image, prediction: Prediction) -> None:
        if isinstance(image, np.ndarray) and image.shape != pair.run.card.image.shape:
            pair.meters.count_failed()  # pixels of another size, which can't be decoded again
            return
        pixels = prediction.pixels
        kept = None if pair.takes_pixels and not pair.shadow.keep_images else image
        if not pair.takes_pixels or pixels is None:
            pixels, kept = None, image
        elif pixels.base is not None:
            pixels = pixels.copy()  # of a large request the rest would stay in memory, too
        size = _count_bytes(kept) + _count_bytes(pixels)
        index, probability = prediction.scores.top[0]
        label = pair.of.card.labels[index]
        self._waiting.append(_Seen(name, pair, kept, pixels, size, label, index, probability, prediction.timing))
        self._count_waiting(size)
        self._wake()

    def _forget_gone(self) -> None:
        """Models that serve no longer must not stay in memory until an idle moment comes."""
        self._pairs.forget_gone()
        loaded = set(self._catalog.loaded())
        for _ in range(len(self._waiting)):
            seen = self._take_first()
            if {seen.pair.of, seen.pair.run} <= loaded:
                self._waiting.append(seen)
                self._count_waiting(seen.size)
            else:
                seen.pair.meters.count_dropped()

    def _take_first(self) -> _Seen:
        seen = self._waiting.popleft()
        self._count_waiting(-seen.size)
        return seen

    def _count_waiting(self, more_bytes: int) -> None:
        self._waiting_bytes += more_bytes
        self._is_full = len(self._waiting) >= MOST_WAITING or self._waiting_bytes >= MOST_WAITING_BYTES

    def _wake(self) -> None:
        if self._waiting and not self._running:
            self._moments.wait()

    def _run(self) -> None:
        """Run a few of the images that wait, all of one shadow."""
        if not self._waiting:
            return
        name = self._waiting[0].name
        shadow = self._traffic.shadows.get(name)
        pair = None if shadow is None else self._pairs.find(name, shadow)
        most, taken = 1 if pair is None else _find_rows(pair.run), list[_Seen]()
        while self._waiting and self._waiting[0].name == name and len(taken) < most:
            seen = self._take_first()
            # Its models may have been replaced since, or the shadow mean others.
            if pair is None or not (pair.of is seen.pair.of and pair.run is seen.pair.run):
                seen.pair.meters.count_dropped()
            else:
                taken.append(seen)
        if taken and pair is not None:
            self._compare(pair, taken)
        self._wake()

    def _compare(self, pair: Pair, taken: Sequence[_Seen]) -> None:
        try:
            places = LowestPriorityRows(pair.run, _PATIENCE_S).reserve(len(taken))
        except ConvserveError:  # it is being unloaded, or its device failed
            for _ in taken:
                pair.meters.count_dropped()
            return
        self._running = len(taken)

        def end(seen: _Seen, result: Prediction | Exception) -> None:
            self._running -= 1
            if not self._running:
                places.release()
                self._moments.go_on()
            self._record(pair, seen, result)

        for seen in taken:
            given = seen.image if seen.pixels is None else seen.pixels
            assert given is not None
            Attempt(pair.run, given, places, self._decoder, partial(end, seen))

    def _record(self, pair: Pair, seen: _Seen, result: Prediction | Exception) -> None:
        if not isinstance(result, Prediction):
            pair.meters.count_failed()
            if not isinstance(result, ConvserveError):
                log.error("the shadow %s failed", seen.name, exc_info=result)
            return
        index, probability = result.scores.top[0]
        label, timing = pair.run.card.labels[index], result.timing
        pair.meters.record_pair(
            (seen.label, label),
            abs(seen.probability - float(result.scores.probabilities[seen.top])),
            (seen.timing.infer_ms / 1e3, timing.infer_ms / 1e3),
            (seen.timing.batch_size, timing.batch_size),
        )
        if index != seen.top:
            image = None if seen.image is None or isinstance(seen.image, np.ndarray) else seen.image
            file = None if image is None else to_bytes(image, self._decoder.limits)
            answers = (seen.label, seen.probability), (label, probability)
            self._disagreements.add(seen.name, pair.shadow, *answers, file)


def _find_rows(model: LoadedModel) -> int:
    """How many rows a shadow runs at once: in each lane as many as take no more than twice what one takes."""
    seconds = model.seconds_in_lane
    longest = _MOST_TIMES * seconds[min(seconds)]
    rows = max(rows for rows, lasts in seconds.items() if lasts <= longest)
    batcher = model.batcher
    return min(rows * len(batcher.runners), batcher.max_batch_size * len(batcher.runners), batcher.max_queue_rows)


def _count_bytes(image: Image | None) -> int:
    if image is None:
        return 0
    return len(image) if isinstance(image, str | bytes) else image.nbytes
