"""Shadows: models that also see what others answer, behind the one admission and never on a caller's clock.

What a caller was answered waits here, a bounded number of images, for a moment in which no model of this process has
anything to do, at a time when it has cores to spare. Then the shadow runs a few of them, and both answers are compared.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from contextvars import Context
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import NamedTuple

import numpy as np

from app.admission.cascade import check_labels
from app.aliases import Shadow
from app.batching.batcher import Batcher
from app.batching.spare import Spare
from app.catalog.catalog import Catalog
from app.catalog.traffic.traffic import split_version
from app.errors import ModelRefused
from app.inference.attempt import Attempt, Prediction, Timing
from app.inference.decoder import Decoder, Encoded, to_bytes
from app.inference.model import LoadedModel
from app.inference.scores import Scores
from app.observe.comparison import ShadowMeters
from artifact.errors import ConvserveError
from artifact.images.frame import Pixels

log = logging.getLogger(__name__)

Image = Encoded | Pixels
Settle = Callable[[list[Prediction | ConvserveError]], None]

MOST_WAITING = 1_024
MOST_WAITING_BYTES = 64_000_000
# Turns of the event loop in which no model may have anything to do before a shadow runs.
_CALM_TURNS = 2
# What a shadow runs at once may hold up a caller who comes meanwhile: no longer than so many times one row does.
_MOST_TIMES = 2.0
_PATIENCE_S = 60.0
# Until shadows whose models weren't there are looked at again.
_AGAIN_S = 1.0


@dataclass(frozen=True)
class _Pair:
    """The two models of a shadow, and where it counts."""

    shadow: Shadow
    of: LoadedModel
    run: LoadedModel
    takes_pixels: bool
    """Both see an image alike: `run` takes the pixels that `of` has seen."""
    meters: ShadowMeters


class _Seen(NamedTuple):
    """What a caller was answered, as far as the comparison needs it."""

    name: str
    pair: _Pair
    image: Image | None
    pixels: Pixels | None
    size: int
    """Bytes of both."""
    label: str
    top: int
    probability: float
    timing: Timing


class ShadowRuns:
    """The shadows of one process. Owned by the event loop."""

    def __init__(self, catalog: Catalog, decoder: Decoder, random: Random | None = None) -> None:
        """`random` chooses the images."""
        self._catalog = catalog
        self._traffic = catalog.traffic
        self._decoder = decoder
        self._random = random or Random()
        self._pairs: dict[str, _Pair] = {}
        self._absent: dict[str, tuple[Shadow, float]] = {}  # whose models weren't there, and until when that holds
        self._waiting: deque[_Seen] = deque()
        self._waiting_bytes = 0
        self._running = 0
        self._spare = Spare(lambda: catalog.cores)
        self._is_awake = False  # a look for an idle moment will come
        self._calm_turns = 0
        self._context = Context()  # what is logged of a shadow's run is about no request

    @property
    def waiting(self) -> int:
        """Images that wait for an idle moment."""
        return len(self._waiting)

    def follow(self, model: LoadedModel, images: Sequence[Image], settle: Settle) -> Settle:
        """What to call in place of `settle`, which is called first: shadows then see what was answered. `model` answers
        where a prediction names nobody else.
        """

        def settle_and_show(outcomes: list[Prediction | ConvserveError]) -> None:
            settle(outcomes)
            for image, outcome in zip(images, outcomes, strict=True):
                if isinstance(outcome, Prediction):
                    self._show(model if outcome.by is None else outcome.by.model, image, outcome)

        return settle_and_show

    def _show(self, model: LoadedModel, image: Image, prediction: Prediction) -> None:
        """To the shadows that this image falls to."""
        for name, shadow in self._traffic.shadows.items():
            pair = self._pairs.get(name)
            if pair is None or pair.of is not model or pair.shadow is not shadow:
                if shadow.of != model.name and shadow.of != write_version(model):
                    continue  # most requests may be for other models
                pair = self._find_pair(name, shadow)
            if pair is None or pair.of is not model or self._random.random() >= shadow.share:
                continue
            if len(self._waiting) >= MOST_WAITING or self._waiting_bytes >= MOST_WAITING_BYTES:
                pair.meters.count_dropped()  # at full load every image comes here: it must cost next to nothing
            else:
                self._queue(name, pair, image, prediction)

    def _queue(self, name: str, pair: _Pair, image: Image, prediction: Prediction) -> None:
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
        self._waiting_bytes += size
        self._wake()

    def _take_first(self) -> _Seen:
        seen = self._waiting.popleft()
        self._waiting_bytes -= seen.size
        return seen

    def _wake(self) -> None:
        """Look for an idle moment, unless that is being done."""
        if not self._is_awake and not self._running and self._waiting:
            self._is_awake, self._calm_turns = True, 0
            self._look_soon()

    def _look_soon(self) -> None:
        asyncio.get_running_loop().call_soon(self._look, context=self._context)

    def _look(self) -> None:
        """Whether there are cores to spare and no model has anything to do, for the second turn of the loop; otherwise
        as soon as that may be.
        """
        if not self._spare.is_there():
            self._calm_turns = 0
            asyncio.get_running_loop().call_later(self._spare.wait_s, self._look, context=self._context)
        elif (busy := self._find_busy()) is not None:
            self._calm_turns = 0
            busy.call_when_idle(self._look_soon)
        elif self._calm_turns < _CALM_TURNS:
            self._calm_turns += 1
            self._look_soon()
        else:
            self._is_awake = False
            self._run()
            self._wake()

    def _find_busy(self) -> Batcher[Pixels, Scores] | None:
        return next((model.batcher for model in self._catalog.loaded() if not model.batcher.is_idle), None)

    def _run(self) -> None:
        """A few of those that wait, all of one shadow."""
        if not self._waiting:
            return
        name = self._waiting[0].name
        shadow = self._traffic.shadows.get(name)
        pair = None if shadow is None else self._find_pair(name, shadow)
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

    def _compare(self, pair: _Pair, taken: Sequence[_Seen]) -> None:
        model, deadline = pair.run, asyncio.get_running_loop().time() + _PATIENCE_S
        try:
            places = model.batcher.reserve(len(taken), deadline)
        except ConvserveError:  # it is being unloaded, or its device failed
            for _ in taken:
                pair.meters.count_dropped()
            return
        self._running = len(taken)

        def end(seen: _Seen, outcome: Prediction | Exception) -> None:
            self._running -= 1
            if not self._running:
                places.release()
                self._wake()
            self._record(pair, seen, outcome)

        for seen in taken:
            given = seen.image if seen.pixels is None else seen.pixels
            assert given is not None
            Attempt(model, given, places, self._decoder, partial(end, seen))

    def _record(self, pair: _Pair, seen: _Seen, outcome: Prediction | Exception) -> None:
        if not isinstance(outcome, Prediction):
            pair.meters.count_failed()
            if not isinstance(outcome, ConvserveError):
                log.error("the shadow %s failed", seen.name, exc_info=outcome)
            return
        index, probability = outcome.scores.top[0]
        label, timing = pair.run.card.labels[index], outcome.timing
        pair.meters.record_pair(
            (seen.label, label),
            abs(seen.probability - float(outcome.scores.probabilities[seen.top])),
            (seen.timing.infer_ms / 1e3, timing.infer_ms / 1e3),
            (seen.timing.batch_size, timing.batch_size),
        )
        if index != seen.top:
            image = None if seen.image is None or isinstance(seen.image, np.ndarray) else seen.image
            file = None if image is None else to_bytes(image, self._decoder.limits)
            answers = (seen.label, seen.probability), (label, probability)
            self._catalog.disagreements.add(seen.name, pair.shadow, *answers, file)

    def _find_pair(self, name: str, shadow: Shadow) -> _Pair | None:
        """The models of a shadow as they are now; None where one isn't there or they don't go together."""
        before, until = self._absent.get(name, (None, 0.0))
        now = asyncio.get_running_loop().time()
        if before is shadow and now < until:
            return None
        try:
            of, run = find_models(self._catalog, name, shadow)
        except ConvserveError:
            self._absent[name] = shadow, now + _AGAIN_S
            return None
        pair = self._pairs.get(name)
        if pair is None or not (pair.shadow is shadow and pair.of is of and pair.run is run):
            meters = ShadowMeters(self._catalog.metrics, name, write_version(of), write_version(run))
            pair = _Pair(shadow, of, run, of.card.image == run.card.image, meters)
            self._pairs[name] = pair
        return pair


def find_models(catalog: Catalog, name: str, shadow: Shadow) -> tuple[LoadedModel, LoadedModel]:
    """The model whose answers a shadow called `name` compares, and the one that it runs. Raises what Catalog.find
    raises, and ModelRefused where they are the same or have different labels.
    """
    of, run = (catalog.find(*split_version(target)) for target in (shadow.of, shadow.run))
    if of is run:
        raise ModelRefused(f"{name} is refused: of and run are both {write_version(of)}: name two versions")
    check_labels(name, of, run)
    return of, run


def write_version(model: LoadedModel) -> str:
    """As an alias names it."""
    return f"{model.name}/{model.version}"


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
