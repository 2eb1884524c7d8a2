"""Admission: the one way from a request to a prediction.

Every road (the fast path, the service's own addresses, everybody else's forms, explanations) translates bodies and
answers, and nothing more: which model a request means, its places in the queue, its deadline, what becomes of its
images, and whom it is counted for are settled here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

from app.admission.aliases import check_alias
from app.admission.cascade import Relay, Second
from app.admission.feedback import Receipts
from app.admission.options import Asked, Terms
from app.admission.shares import ShareMeters
from app.aliases import Meaning
from app.batching.entry import Places, resolve
from app.catalog.catalog import Catalog
from app.inference.attempt import Attempt, Prediction
from app.inference.decoder import Decoder, Encoded
from app.inference.model import LoadedModel
from app.inference.scores import Scores
from app.observe.access_log import Exchange
from app.observe.logs import log_unexpected
from app.observe.tracing import trace_stages
from artifact.errors import ConvserveError
from artifact.images.frame import Pixels

Image = Encoded | Pixels
"""The bytes of an image file, their base64 text, or uint8 [height, width, channels] as the card has them."""

Outcome = Prediction | ConvserveError
"""What becomes of one image."""


_KNOWN = (Prediction, ConvserveError)  # a union would be made anew at each look


class Admission:
    """What all requests to one process have in common."""

    def __init__(self, catalog: Catalog, decoder: Decoder, receipts: Receipts) -> None:
        self.catalog = catalog
        self.decoder = decoder
        self.receipts = receipts
        self.traffic = catalog.traffic

    def check(self, name: str) -> None:
        """Raises as `admit` does where requests to the model or alias `name` are refused."""
        self.catalog.resolve(name)
        if name in self.traffic.several:
            check_alias(self.catalog, name, self.traffic.several[name])

    def check_alias(self, name: str, target: Meaning) -> None:
        """Raises what requests would be refused with, were `target` the meaning of `name`."""
        check_alias(self.catalog, name, target)

    def find_second(self, exchange: Exchange, name: str | None, first: LoadedModel, asked: Asked) -> Second | None:
        """The second model where `name` is a cascade that begins with `first`. Raises as Second does."""
        name = name or self.catalog.default_name()
        return Second(self.catalog, name, first, asked, exchange) if name in self.traffic.cascades else None

    def assign(self, exchange: Exchange, name: str | None, slot: int | None) -> int | None:
        """The slot of a request, which keeps the one that it has, and who counts it; None where `name` isn't split."""
        name = name or self.catalog.default_name()
        if name not in self.traffic.splits:
            exchange.share = None
            return None
        if slot is None:
            slot = self.traffic.draw(name, exchange.find_header)
        exchange.share = ShareMeters(self.catalog.metrics, name, self.traffic.target(name, slot))
        return slot

    def admit(self, exchange: Exchange, name: str | None, asked: Asked, rows: int = 1) -> Ticket:
        """Let a request in, before its body is read: what can be refused is refused at once. `name` None is the
        default model.

        Raises UnknownModel, UnknownVersion, ModelRefused, ModelUnloaded, Loading or Draining; InvalidParameter for
        what the model can't give; TooManyRows, Overloaded or DeviceFailed where `rows` images (all that is known of
        them yet) wouldn't find room now or be run in time; 0 where none is to come, or all are here. Nothing is
        reserved: a client that sends slowly holds no place.
        """
        ticket = Ticket(self, exchange, name, asked)
        if rows:
            ticket.model.batcher.check_room(rows, ticket.terms.timeout_s)
        return ticket


class Underway(Protocol):
    """One image on its way."""

    def abandon(self) -> None:
        """Nobody waits any more."""


class Ticket:
    """One request that was let in."""

    __slots__ = (
        *("_admission", "_asked", "_attempts", "_exchange", "_left", "_loop", "_name", "_outcomes", "_places"),
        *("_second", "_settle", "_slot", "deadline", "model", "terms"),
    )

    def __init__(self, admission: Admission, exchange: Exchange, name: str | None, asked: Asked) -> None:
        self._admission = admission
        self._exchange = exchange
        self._name = name
        self._asked = asked
        self._loop = asyncio.get_running_loop()
        self._attempts: list[Underway] = []
        self._outcomes: list[Outcome | None] = []
        self._left = 0  # images without an outcome
        self._places: Places[Pixels, Scores] | None = None
        self._settle: Callable[[list[Outcome]], None] | None = None
        self._second: Second | None = None  # of a cascade
        self._slot: int | None = None  # of a split
        self.deadline = 0.0
        """By the loop's clock; known once the request has begun."""
        self.model: LoadedModel
        """What serves the request; of a cascade the first."""
        self.terms: Terms
        """What it asks for of that model."""
        self._aim()

    @property
    def receipts(self) -> Receipts:
        """What signs the request's predictions."""
        return self._admission.receipts

    def ask(self, asked: Asked) -> None:
        """The body asks for more than the address did. Raises as `admit` does."""
        if asked is not self._asked:
            self._asked = asked
            self._aim()

    def begin(self, timeout_s: float | None = None) -> None:
        """The body is here. Where the model was replaced while it came in, another is chosen. `timeout_s` is for
        bodies that say it themselves. Raises as `admit` does.
        """
        if not self.model.batcher.accepts_rows or (self._second is not None and self._second.is_stale):
            self._aim()
        self.deadline = self._loop.time() + (self.terms.timeout_s if timeout_s is None else timeout_s)

    def reserve(self, rows: int) -> Places[Pixels, Scores]:
        """Places for rows that must be answered by the deadline, once the request has begun. Raises as
        Batcher.reserve does.
        """
        return self.model.batcher.reserve(rows, self.deadline)

    def start(
        self,
        images: Sequence[Image],
        settle: Callable[[list[Outcome]], None],
        timeout_s: float | None = None,
        at_once: bool = False,
    ) -> None:
        """Begin, then decode and run every image. `settle` is called once, in the event loop, perhaps before this
        returns, with an outcome for each image in order; never where the ticket was abandoned. `at_once` is for
        Places.submit.

        Raises as `begin` and `reserve` do; then `settle` is not called.
        """
        self.begin(timeout_s)
        attempt: Callable[..., Underway] = Attempt
        if self._second is not None:
            self._second.check_images(images)
            attempt = partial(Relay, self._second)
        self._places = places = self.model.batcher.reserve(len(images), self.deadline)
        self._settle = settle
        model, decoder = self.model, self._admission.decoder
        if len(images) == 1:
            self._attempts = [attempt(model, images[0], places, decoder, self._take_only, at_once)]
            return
        self._left = len(images)
        self._outcomes = [None] * len(images)
        for place, image in enumerate(images):
            self._attempts.append(attempt(model, image, places, decoder, partial(self._take, place), at_once))

    async def run(self, images: Sequence[Image], timeout_s: float | None = None) -> list[Outcome]:
        """`start`, and wait for what it tells. Canceled, the ticket is abandoned."""
        future: asyncio.Future[list[Outcome]] = self._loop.create_future()
        self.start(images, lambda outcomes: resolve(future, outcomes), timeout_s)
        try:
            outcomes = await future
        except asyncio.CancelledError:
            self.abandon()
            raise
        for outcome in outcomes:
            if isinstance(outcome, Prediction):
                timing = outcome.timing
                trace_stages(timing.decode_ms / 1e3, timing.queue_ms / 1e3, timing.infer_ms / 1e3)
        return outcomes

    async def aim_at_speaker(self, image: Image) -> None:
        """Once the request has begun: of a cascade's two models the one that answers `image` serves it from now on.
        Raises as `start` does, and what became of the image.
        """
        if self._second is None:
            return
        (outcome,) = await self.run((image,), self.deadline - self._loop.time())
        if isinstance(outcome, ConvserveError):
            raise outcome
        if outcome.by is not None:
            self.model = outcome.by.model

    def abandon(self) -> None:
        """Nobody waits any more: what hasn't begun is not done."""
        self._settle = None
        for attempt in self._attempts:
            attempt.abandon()
        if self._places is not None:
            self._places.release()

    def _aim(self) -> None:
        """At what serves such a request now."""
        if self._admission.traffic.splits:
            self._slot = self._admission.assign(self._exchange, self._name, self._slot)
        self.model = model = self._admission.catalog.resolve(self._name, self._asked.version, self._slot)
        self._exchange.concerns(model.name, model.meters)
        self.terms = self._asked.fit(model)
        if self.terms.receipt:
            self._admission.receipts.require_key()
        if self._admission.traffic.cascades:
            self._second = self._admission.find_second(self._exchange, self._name, model, self._asked)

    def _take(self, place: int, outcome: Prediction | Exception) -> None:
        self._outcomes[place] = outcome if isinstance(outcome, _KNOWN) else self._explain(outcome)
        self._left -= 1
        if not self._left:
            self._end([outcome for outcome in self._outcomes if outcome is not None])

    def _take_only(self, outcome: Prediction | Exception) -> None:
        if isinstance(outcome, Prediction):  # then its place was used
            settle, self._settle = self._settle, None
            if settle is not None:
                settle([outcome])
        else:
            self._end([outcome if isinstance(outcome, ConvserveError) else self._explain(outcome)])

    def _end(self, outcomes: list[Outcome]) -> None:
        if self._places is not None:
            self._places.release()
        settle, self._settle = self._settle, None
        if settle is not None:
            settle(outcomes)

    def _explain(self, error: Exception) -> Outcome:
        """A failure that nobody foresaw becomes one that can be told."""
        return log_unexpected(error, self._exchange)
