"""A cascade: two models with one name. The second is asked where the first one's answer isn't sure enough, and where it
can't be asked in time, the first one's answer stands.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from app.admission.options import Asked
from app.aliases import Cascade
from app.batching.entry import Places
from app.catalog.catalog import Catalog
from app.catalog.traffic.traffic import split_version
from app.errors import BadTensor, InvalidParameter, ModelRefused, Unavailable
from app.inference.attempt import AnsweringModel, Attempt, Prediction, Timing
from app.inference.decoder import Decoder, Encoded
from app.inference.labels import count_set, find_score
from app.inference.model import LoadedModel
from app.inference.scores import Scores
from app.observe.access_log import Exchange
from app.observe.logs import log_unexpected, on_behalf_of
from artifact.errors import ConvserveError
from artifact.images.frame import Pixels

COUNTER = "convserve_cascade_images_total"


class Second:
    """The second model of the cascade that one request is for, and when it is asked."""

    def __init__(self, catalog: Catalog, name: str, first: LoadedModel, asked: Asked, exchange: Exchange) -> None:
        """`name` is the cascade's. Raises ModelRefused where its models don't go together, what Catalog.find raises
        unless the second model will be there in a moment, and InvalidParameter for what one of the two can't give.
        """
        self.exchange = exchange
        self._metrics = catalog.metrics
        self._name = name
        self._cascade = cascade = catalog.traffic.cascades[name]
        self._set_score = _find_set_score(name, cascade, first)
        self.model = _find_model(catalog, name, cascade, first)
        """None where it can't be asked at present: it is being loaded."""
        score = asked.fit(first).score
        self.by_first = AnsweringModel(first, score)
        self.by_first_alone = AnsweringModel(first, score, is_alone=True)
        self.by_second = (
            self.by_first if self.model is None else AnsweringModel(self.model, asked.fit(self.model).score)
        )

    @property
    def then(self) -> str:
        """The name of the second model, whether it can be asked or not."""
        return split_version(self._cascade.then)[0]

    def is_asked_after(self, scores: Scores) -> bool:
        """Whether the second model is asked: what the first says of the image, `scores`, isn't sure enough."""
        if labels := self._cascade.most_labels:
            return count_set(scores, self._set_score) > labels
        return scores.top[0][1] < self._cascade.least_probability

    @property
    def is_stale(self) -> bool:
        """Whether the second model was replaced since, or couldn't be asked."""
        return self.model is None or not self.model.batcher.accepts_rows

    def check_images(self, images: Sequence[Encoded | Pixels]) -> None:
        """Raises BadTensor for pixels of another shape than the second model takes: only files can be decoded again."""
        if self.model is None:
            return
        shape, name = self.model.card.image.shape, self.model.name
        for image in images:
            if isinstance(image, np.ndarray) and image.shape != shape:
                raise BadTensor(
                    f"{self._name} is two models ({self._cascade}), and {name} takes pixels of {list(shape)}, not "
                    f"{list(image.shape)}: send encoded images, which each of them decodes for itself"
                )

    def count(self, answering: AnsweringModel) -> None:
        """One more image that `answering` has answered."""
        second = "skipped" if answering.is_alone else "unasked" if answering is self.by_first else "answered"
        self._metrics.add(COUNTER, self._name, second)


class Relay:
    """One image until a cascade's prediction, with the interface of app.inference.attempt.Attempt. The places are those
    of the first model. The prediction names the model that gave it, and its timing is of both.
    """

    __slots__ = (
        *("_attempt", "_deadline", "_decoder", "_first", "_image"),
        *("_places", "_queue_class", "_second", "_settle"),
    )

    def __init__(
        self,
        second: Second,
        model: LoadedModel,
        image: Encoded | Pixels,
        places: Places[Pixels, Scores],
        decoder: Decoder,
        settle: Callable[[Prediction | Exception], None],
        at_once: bool = False,
    ) -> None:
        self._second = second
        self._image = image
        self._deadline, self._queue_class = places.deadline, places.queue_class
        self._places: Places[Pixels, Scores] | None = None  # in the second model's queue
        self._decoder = decoder
        self._settle: Callable[[Prediction | Exception], None] | None = settle
        self._first: Prediction | None = None
        self._attempt: Attempt | None = None
        attempt = Attempt(model, image, places, decoder, self._take_first, at_once)
        if self._attempt is None:  # otherwise the second model has the image already
            self._attempt = attempt

    def abandon(self) -> None:
        """Nobody waits for the prediction any more: `settle` isn't called, and what hasn't begun is not done."""
        self._settle = None
        if self._attempt is not None:
            self._attempt.abandon()
        self._release()

    def _take_first(self, result: Prediction | Exception) -> None:
        second = self._second
        if not isinstance(result, Prediction):
            self._end(result)
        elif not second.is_asked_after(result.scores):
            self._end(result._replace(by=second.by_first))
        else:
            self._first = result
            with on_behalf_of(second.exchange):  # the call comes from the delivery of a whole batch
                self._ask_second()

    def _ask_second(self) -> None:
        """Queue the image for the second model, with what is left of the deadline."""
        model = self._second.model
        try:
            if model is None:
                raise Unavailable("the second model is being loaded")
            self._places = places = model.batcher.reserve(1, self._deadline, self._queue_class)
        except ConvserveError as error:
            self._take_second(error)
        else:
            self._attempt = Attempt(model, self._image, places, self._decoder, self._take_second)

    def _take_second(self, result: Prediction | Exception) -> None:
        first, second = self._first, self._second
        assert first is not None
        self._release()
        if isinstance(result, Prediction):
            timing = _add(first.timing, result.timing)
            self._end(result._replace(timing=timing, by=second.by_second))
            return
        if not isinstance(result, ConvserveError):
            log_unexpected(result, second.exchange)
        self._end(first._replace(by=second.by_first_alone))

    def _release(self) -> None:
        """Give back the place in the second model's queue, if it wasn't used."""
        if self._places is not None:
            self._places.release()

    def _end(self, result: Prediction | Exception) -> None:
        settle, self._settle = self._settle, None
        if settle is not None:
            if isinstance(result, Prediction) and result.by is not None:
                self._second.count(result.by)
            settle(result)


def check_cascade(catalog: Catalog, name: str, cascade: Cascade) -> None:
    """Raises what a request for a cascade called `name` would be refused with."""
    first = catalog.find(*split_version(cascade.first))
    _find_set_score(name, cascade, first)
    _find_model(catalog, name, cascade, first)


def _find_set_score(name: str, cascade: Cascade, first: LoadedModel) -> float:
    """The conformal score of the label sets that decide."""
    if not cascade.most_labels:
        return 0.0
    try:
        return find_score(first.card, cascade.coverage)
    except InvalidParameter as error:
        raise ModelRefused(f"{name} is refused, since {cascade.when!r} needs label sets: {error.detail}") from error


def _find_model(catalog: Catalog, name: str, cascade: Cascade, first: LoadedModel) -> LoadedModel | None:
    try:
        model = catalog.find(*split_version(cascade.then))
    except Unavailable:
        return None
    except ConvserveError as error:
        error.detail = f"{name} is two models ({cascade}): {error.detail}"
        raise
    if model is first:
        raise ModelRefused(f"{name} is refused: its first and second model are both {model.name} {model.version}")
    check_labels(name, first, model)
    return model


def check_labels(name: str, first: LoadedModel, other: LoadedModel) -> None:
    """Raises ModelRefused where two models of the alias `name` have different labels, or an order of their own."""
    labels, others = first.card.labels, other.card.labels
    if others is not labels and others != labels:
        raise ModelRefused(
            f"{name} is refused: {first.name} and {other.name} must have the same labels in the same order; "
            f"{_find_difference(labels, others)}"
        )


def _find_difference(labels: Sequence[str], others: Sequence[str]) -> str:
    if len(labels) != len(others):
        return f"they have {len(labels):,} and {len(others):,}"
    place = next(place for place, pair in enumerate(zip(labels, others, strict=True)) if pair[0] != pair[1])
    return f"label {place} is {labels[place][:40]!r} in the first model and {others[place][:40]!r} in the second"


def _add(first: Timing, second: Timing) -> Timing:
    """What an image cost that took both models."""
    return Timing(
        first.decode_ms + second.decode_ms,
        first.queue_ms + second.queue_ms,
        first.infer_ms + second.infer_ms,
        second.batch_size,
    )
