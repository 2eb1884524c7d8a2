"""Admission: the one way from a request to a prediction.

Every endpoint (the fast path, the service's own API, the protocols of other servers, explanations) only translates
bodies and answers. Which model a request means, its places in the queue, its deadline, what becomes of its images, and
whom it is counted for are settled here. Admission lets requests in; a Ticket is one that was let in, from then to its
results.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from app.admission.aliases import check_alias
from app.admission.cascade import Relay, Second
from app.admission.feedback import Receipts
from app.admission.keys import ANYBODY, Keys
from app.admission.options import Asked, Terms, check_embeds
from app.admission.shadows.runs import ShadowRuns
from app.admission.shares import ShareMeters
from app.admission.underway import Image, ImageResult, SeveralUnderway, Underway
from app.aliases import Meaning
from app.batching.entry import Places, resolve
from app.batching.fair_queue import DEFAULT_CLASS, HIGHEST
from app.batching.sliced_work import SlicedWork
from app.catalog.catalog import Catalog
from app.errors import NotEmbeddable
from app.inference.attempt import Attempt, Prediction
from app.inference.decoder import Decoder
from app.inference.model import LoadedModel
from app.inference.scores import Scores
from app.observe.access_log import Exchange
from app.observe.logs import log_unexpected
from app.observe.tracing import trace_stages
from artifact.errors import ConvserveError
from artifact.images.frame import Pixels

T = TypeVar("T")

USUAL = 0
"""The priority of a request that asks for none."""
ANY = HIGHEST
"""The highest priority: what a request whose body isn't here yet may turn out to ask for."""


class Admission:
    """Lets the requests to one process in."""

    def __init__(self, catalog: Catalog, decoder: Decoder, keys: Keys, receipts: Receipts) -> None:
        self.catalog = catalog
        self.decoder = decoder
        self.keys = keys
        self.receipts = receipts
        self.sliced_work = SlicedWork()
        self.traffic = catalog.traffic
        self.shadows = ShadowRuns(catalog, decoder)

    def check(self, name: str) -> None:
        """Raises as `admit` does where requests to the model or alias `name` are refused."""
        self.catalog.resolve(name)
        if name in self.traffic.several:
            check_alias(self.catalog, name, self.traffic.several[name])

    def check_alias(self, name: str, target: Meaning) -> None:
        """Raises what requests would be refused with, were `target` the meaning of `name`."""
        check_alias(self.catalog, name, target)

    def admit(self, exchange: Exchange, name: str | None, asked: Asked, rows: int = 1, priority: int = USUAL) -> Ticket:
        """Let a request in, before its body is read: what can be refused is refused at once. `name` None is the default
        model; `rows` is how many images are known to come, 0 where none is to come or all are here; `priority` is the
        highest that the body may ask for.

        Raises UnknownModel, UnknownVersion, ModelRefused, ModelUnloaded, Loading or Draining; KeyNotForModel or
        RateExceeded for what the request's key doesn't allow; InvalidParameter for what the model can't give;
        TooManyRows, Overloaded or DeviceFailed where `rows` images wouldn't find room now or be run in time. Nothing is
        reserved: a client that sends slowly holds no place.
        """
        ticket = Ticket(self, exchange, name, asked, priority)
        if ticket.holder is not ANYBODY:
            self.keys.check_rate(ticket.holder)
        if rows:
            ticket.model.batcher.check_room(rows, ticket.terms.timeout_s, ticket.queue_class)
        return ticket


class Ticket:
    """One request that was let in, until its results are there or nobody waits for them."""

    __slots__ = (
        *("_admission", "_asked", "_exchange", "_loop", "_name", "_places", "_second", "_settle", "_slot"),
        *("_underway", "deadline", "holder", "model", "queue_class", "terms"),
    )

    def __init__(
        self, admission: Admission, exchange: Exchange, name: str | None, asked: Asked, priority: int = USUAL
    ) -> None:
        self._admission = admission
        self._exchange = exchange
        self._name = name
        self._asked = asked
        self._loop = asyncio.get_running_loop()
        self._underway: Underway | None = None
        self._places: Places[Pixels, Scores] | None = None
        self._settle: Callable[[list[ImageResult]], None] | None = None
        self._second: Second | None = None  # of a cascade
        self._slot: int | None = None  # of a split
        self.holder = admission.keys.holders[exchange.key]
        """The holder of the API key that the request brought."""
        self.queue_class = (
            DEFAULT_CLASS if self.holder is ANYBODY and not priority else self.holder.get_queue_class(priority)
        )
        """Until the body is here, that of the highest priority that it may ask for."""
        self.deadline = 0.0
        """Seconds by the event loop's clock; known once the request has begun."""
        self.model: LoadedModel
        """The model that serves the request; of a cascade the first."""
        self.terms: Terms
        """What the request asks for, fitted to that model."""
        self._choose_model()

    @property
    def receipts(self) -> Receipts:
        """What signs the request's predictions."""
        return self._admission.receipts

    def ask(self, asked: Asked) -> None:
        """Change what the request asks for, once its body is read: a body may add to what the address asks for. Raises
        as `admit` does.
        """
        if asked is not self._asked:
            self._asked = asked
            self._choose_model()

    def begin(self, timeout_s: float | None = None, priority: int = USUAL) -> None:
        """The body is here: set the deadline and the queue class. Where the model was replaced while the body came in,
        another is chosen. `timeout_s` (seconds) and `priority` are for bodies that say them themselves. Raises as
        `admit` does.
        """
        if not self.model.batcher.accepts_rows or (self._second is not None and self._second.is_stale):
            self._choose_model()
        self.deadline = self._loop.time() + (self.terms.timeout_s if timeout_s is None else timeout_s)
        if priority or self.queue_class is not DEFAULT_CLASS:
            self.queue_class = self.holder.get_queue_class(priority)

    def reserve(self, rows: int) -> Places[Pixels, Scores]:
        """Reserve places for `rows` rows that must be answered by the deadline, once the request has begun, and charge
        them to its key. Raises as Batcher.reserve does.
        """
        places = self.model.batcher.reserve(rows, self.deadline, self.queue_class)
        if self.holder is not ANYBODY:
            self._admission.keys.spend(self.holder, rows)
        return places

    def start(
        self,
        images: Sequence[Image],
        settle: Callable[[list[ImageResult]], None],
        timeout_s: float | None = None,
        at_once: bool = False,
        priority: int = USUAL,
        embeds: bool = False,
    ) -> None:
        """Begin, then decode and run every image. `settle` is called once, in the event loop, perhaps before this
        returns, with a result for each image in order; never where the ticket was abandoned. `at_once` is as in
        Places.submit; with `embeds` predictions have embeddings.

        Raises as `begin` and `reserve` do, and NotEmbeddable; then `settle` is not called.
        """
        self.begin(timeout_s, priority)
        attempt: Callable[..., Underway] = Attempt
        if embeds:
            self._check_embeds()
            attempt = partial(Attempt, embeds=True)
        if self._second is not None:
            self._second.check_images(images)
            attempt = partial(Relay, self._second)
        self._places = places = self.reserve(len(images))
        if self._admission.traffic.shadows:
            settle = self._admission.shadows.follow(self.model, images, settle)
        self._settle = settle
        model, decoder = self.model, self._admission.decoder
        if len(images) == 1:
            self._underway = attempt(model, images[0], places, decoder, self._take_only, at_once)
            return
        self._underway = SeveralUnderway(
            images,
            lambda image, take: attempt(model, image, places, decoder, take),
            self._end,
            self._admission.sliced_work,
            self.queue_class,
            self._exchange,
        )

    async def run(
        self, images: Sequence[Image], timeout_s: float | None = None, priority: int = USUAL, embeds: bool = False
    ) -> list[ImageResult]:
        """`start`, and wait for the results. Raises as `start` does. If the wait is canceled, abandons the ticket."""
        future: asyncio.Future[list[ImageResult]] = self._loop.create_future()
        self.start(images, lambda results: resolve(future, results), timeout_s, priority=priority, embeds=embeds)
        try:
            results = await future
        except asyncio.CancelledError:
            self.abandon()
            raise
        for result in results:
            if isinstance(result, Prediction):
                timing = result.timing
                trace_stages(timing.decode_ms / 1e3, timing.queue_ms / 1e3, timing.infer_ms / 1e3)
        return results

    async def parse(self, body: bytes, parse: Callable[[bytes], T]) -> T:
        """As Decoder.parse, with the request's queue class."""
        return await self._admission.decoder.parse(body, parse, self.queue_class)

    async def call(self, function: Callable[[], T]) -> T:
        """As Decoder.call, with the request's queue class."""
        return await self._admission.decoder.call(function, self.queue_class)

    async def switch_to_answering_model(self, image: Image) -> None:
        """Once the request has begun: find which of a cascade's two models answers `image`; from now on that model
        serves the request. Raises as `start` does, and the error that the image was answered with.
        """
        if self._second is None:
            return
        (result,) = await self.run((image,), self.deadline - self._loop.time())
        if isinstance(result, ConvserveError):
            raise result
        if result.by is not None:
            self.model = result.by.model

    def abandon(self) -> None:
        """The client no longer waits: cancel what has not begun."""
        self._settle = None
        if self._underway is not None:
            self._underway.abandon()
        if self._places is not None:
            self._places.release()

    def _choose_model(self) -> None:
        """Choose the model that serves such a request now, and fit what it asks for to it. Raises as `Admission.admit`
        does.
        """
        admission = self._admission
        if admission.traffic.splits:
            self._assign()
        self.model = model = admission.catalog.resolve(self._name, self._asked.version, self._slot)
        self._exchange.concerns(model.name, model.meters)
        self.terms = self._asked.fit(model)
        if self.terms.receipt:
            admission.receipts.require_key()
        if admission.traffic.cascades:
            self._find_second()
        if self.holder.models is not None:
            means = {model.name} if self._second is None else {model.name, self._second.then}
            admission.keys.check_models(self.holder, self._find_name(), means)

    def _find_name(self) -> str:
        """What the request calls the model, or what one without a name means."""
        return self._name or self._admission.catalog.default_name()

    def _assign(self) -> None:
        """Where the name means a split, draw the request's slot, which it keeps, and set the metrics that count it."""
        name, traffic = self._find_name(), self._admission.traffic
        if name not in traffic.splits:
            self._exchange.share = self._slot = None
            return
        if self._slot is None:
            self._slot = traffic.draw(name, self._exchange.find_header)
        metrics = self._admission.catalog.metrics
        self._exchange.share = ShareMeters(metrics, name, traffic.target(name, self._slot))

    def _find_second(self) -> None:
        """Where the name means a cascade, find its second model. Raises as Second does."""
        name, catalog = self._find_name(), self._admission.catalog
        is_cascade = name in self._admission.traffic.cascades
        self._second = Second(catalog, name, self.model, self._asked, self._exchange) if is_cascade else None

    def _check_embeds(self) -> None:
        """Raises NotEmbeddable where the model gives no embedding, or two models would give their own."""
        check_embeds(self.model.card)
        if self._second is not None:
            raise NotEmbeddable(
                f"{self._name} is two models, {self.model.name} and {self._second.then}, whose embeddings can't be "
                "compared: send the request to one of them by name"
            )

    def _take_only(self, result: Prediction | Exception) -> None:
        if isinstance(result, Prediction):  # then its place was used
            settle, self._settle = self._settle, None
            if settle is not None:
                settle([result])
        else:
            self._end([result if isinstance(result, ConvserveError) else log_unexpected(result, self._exchange)])

    def _end(self, results: list[ImageResult]) -> None:
        if self._places is not None:
            self._places.release()
        settle, self._settle = self._settle, None
        if settle is not None:
            settle(results)
