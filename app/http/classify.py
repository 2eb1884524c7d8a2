"""Checks, reads and runs a request with images in any form; the route then writes the answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from starlette.requests import Request

from app.admission.admission import Ticket
from app.admission.options import PredictOptions
from app.admission.underway import Image, ImageResult
from app.errors import TooManyImages
from app.http.auth import let_in
from app.http.bodies.content_type import JSON, read_kind
from app.http.bodies.images import read_images
from app.http.bodies.stream import read_body, request_limit
from app.http.disconnect import run_while_connected
from app.http.services import exchange_of
from app.inference.attempt import Prediction
from app.inference.labels import Class, top_classes
from artifact.card import ModelCard
from artifact.errors import ConvserveError


class Posted(NamedTuple):
    """The content of a body."""

    images: Sequence[Image]
    options: Mapping[str, Any] = {}
    """The options in the body, by name."""
    key: str = ""
    """The key of the images, `instances` or `inputs`, in forms that are answered with all probabilities; otherwise
    empty.
    """


Parse = Callable[[bytes, ModelCard, int], Posted]
"""Reads JSON for the model with this card: (body, card, most images) to images and options."""


class Classified(NamedTuple):
    """The result of a request."""

    ticket: Ticket
    posted: Posted
    results: Sequence[ImageResult]
    """One result per image, in order."""


async def classify(
    request: Request,
    name: str | None,
    options: PredictOptions,
    parse: Parse | None = None,
    *,
    is_json: bool = False,
) -> Classified:
    """Run the images of a request by the model `name`, None for the default model. JSON bodies are {"images": [...]},
    or with `parse` what that reads; with `is_json` every body goes to `parse`, whatever its Content-Type.

    Raises what let_in, Admission.admit, read_images and Ticket.run raise. An image that can't be used raises nothing:
    its error is in the results.
    """
    services = let_in(request)
    ticket = services.admission.admit(exchange_of(request), name, options)
    if parse is not None and (is_json or read_kind(request.headers.get("content-type", "")) == JSON):
        body = await read_body(request, request_limit(services.settings))
        card, most = ticket.model.card, services.settings.max_images
        posted = await ticket.parse(body, lambda body: parse(body, card, most))
    else:
        given = await read_images(request, services.settings, ticket, options.names())
        posted = Posted(given.images, given.options)
    ticket.ask(options.with_body(posted.options))
    return Classified(ticket, posted, await run_while_connected(request, ticket.run(posted.images)))


class Best(NamedTuple):
    """What came of a request with one image."""

    classes: Sequence[Class]
    """The most probable ones, best first: as many as it asks for."""
    prediction: Prediction


async def classify_one(request: Request, options: PredictOptions, parse: Parse | None = None) -> Best:
    """As `classify`, for the model in the path and forms that have place for one image. Raises TooManyImages for
    more, and what is wrong with the image.
    """
    ticket, _, results = await classify(request, request.path_params["model"], options, parse)
    if len(results) > 1:
        raise TooManyImages(f"the request has {len(results)} images, this endpoint takes one: /predict takes several")
    (result,) = results
    if isinstance(result, ConvserveError):
        raise result
    return Best(top_classes(ticket.model, result.scores, ticket.terms.top_k), result)
