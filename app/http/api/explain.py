"""POST /explain/{model}: the evidence for a class, as a picture or as numbers; and the input as the network sees it."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Query, Request
from PIL import Image
from pydantic import Field
from starlette.responses import Response

from app.admission.admission import Ticket
from app.admission.options import Options, PredictOptions, Terms
from app.admission.services import Services
from app.errors import TooManyImages
from app.explain.explain import Explanation, check_class, draw, explain, see
from app.explain.overlay import encode_png
from app.http.api.predict import ERRORS, IMAGES
from app.http.bodies.images import read_images
from app.http.bodies.json import encode_json
from app.http.disconnect import run_while_connected
from app.http.schemas import ExplainAnswer
from app.http.services import ServicesDep, exchange_of
from app.inference.decoder import Decoder, Encoded
from app.inference.model import LoadedModel

router = APIRouter(tags=["explain"])

Asked = TypeVar("Asked", bound=Options)
_PNG: dict[str, Any] = {"image/png": {"schema": {"type": "string", "format": "binary"}}}


class ExplainOptions(Options):
    """What stands behind the question mark of /explain/{model}."""

    index: int | None = Field(
        None,
        alias="class",
        description="Index of the class. Default: the most probable.",
        json_schema_extra={"minimum": 0},
    )
    version: int | None = Field(None, ge=1, description="Default: the newest.")
    timeout_ms: int | None = Field(None, ge=1, description="A deadline shorter than the server's.")

    def fit(self, model: LoadedModel) -> Terms:
        """Raises InvalidParameter for a class that `model` doesn't have or a deadline that it can't keep."""
        check_class(model, self.index)
        return PredictOptions(version=self.version, timeout_ms=self.timeout_ms).fit(model)


class InputOptions(Options):
    """What stands behind the question mark of /explain/{model}/input."""

    version: int | None = Field(None, ge=1, description="Default: the newest.")

    def fit(self, model: LoadedModel) -> Terms:
        """The terms of any request: the picture of an input asks nothing of the network."""
        return PredictOptions().fit(model)


@router.post(
    "/explain/{model}",
    operation_id="explain",
    response_model=ExplainAnswer,
    responses={**ERRORS, 200: {"content": _PNG}},
    openapi_extra={"requestBody": IMAGES},
)
async def explain_with_model(
    model: str, options: Annotated[ExplainOptions, Query()], request: Request, services: ServicesDep
) -> Response:
    """Where the network found the evidence for a class: JSON, or (Accept: image/png) drawn over the posted image."""
    ticket = services.admission.admit(exchange_of(request), model, options)
    image, said = await _read_one_image(request, services, ticket, options)
    ticket.ask(said)
    ticket.begin()
    explanation = await run_while_connected(request, _explain(ticket, image, said.index, services.decoder))
    if _prefers_png(request.headers.get("accept", "")):
        return Response(await services.decoder.call(lambda: draw(explanation)), media_type="image/png")
    return Response(encode_json(_translate(ticket.model, explanation)), media_type="application/json")


@router.post(
    "/explain/{model}/input",
    operation_id="explain_input",
    response_class=Response,
    responses={**ERRORS, 200: {"content": _PNG}},
    openapi_extra={"requestBody": IMAGES},
)
async def show_input(
    model: str, options: Annotated[InputOptions, Query()], request: Request, services: ServicesDep
) -> Response:
    """The posted image as the network sees it: decoded, cropped, resized, of the polarity that it expects. A PNG."""
    ticket = services.admission.admit(exchange_of(request), model, options, rows=0)
    image, said = await _read_one_image(request, services, ticket, options)
    ticket.ask(said)
    policy = ticket.model.card.image

    def draw_input() -> bytes:
        pixels = see(image, policy, services.decoder.limits).pixels
        return encode_png(Image.fromarray(pixels[..., 0] if policy.channels == 1 else pixels))

    return Response(await services.decoder.call(draw_input), media_type="image/png")


async def _explain(ticket: Ticket, image: Encoded, index: int | None, decoder: Decoder) -> Explanation:
    """The evidence of the model that answers the image: for a cascade that is known once it has answered."""
    await ticket.switch_to_answering_model(image)
    return await explain(ticket, image, index, decoder)


async def _read_one_image(
    request: Request, services: Services, ticket: Ticket, options: Asked
) -> tuple[Encoded, Asked]:
    """The image, and the options with those of the body."""
    given = await read_images(request, services.settings, ticket, options.names())
    if (count := len(given.images)) > 1:
        raise TooManyImages(f"the request has {count} images, one is explained at a time: send them one by one")
    return given.images[0], options.with_body(given.options)


def _prefers_png(accept: str) -> bool:
    """Whether a picture stands before JSON among the types that the client names; `*/*` means JSON."""
    for entry in accept.split(","):
        kind = entry.partition(";")[0].strip().lower()
        if kind in ("image/png", "image/*"):
            return True
        if kind in ("application/json", "application/*", "*/*"):
            return False
    return False


def _translate(model: LoadedModel, explanation: Explanation) -> dict[str, Any]:
    index = explanation.index
    return {
        "model": model.name,
        "version": model.version,
        "method": explanation.method,
        "class": {
            "label": model.card.labels[index],
            "index": index,
            "probability": float(f"{explanation.probability:.7g}"),
        },
        "rectangle": {name: round(share, 6) for name, share in explanation.seen.rectangle._asdict().items()},
        # Significant digits, not decimals: the order of weak places is told too.
        "map": [[float(f"{level:.4g}") for level in row] for row in explanation.map.tolist()],
    }
