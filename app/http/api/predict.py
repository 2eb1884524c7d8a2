"""POST /predict/{model}: images in one of three forms, classes out."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.admission.options import PredictOptions
from app.http.api.predict_json import write_answer
from app.http.auth import let_in
from app.http.bodies.images import read_images
from app.http.direct_route import MODEL, DirectRoute, describe_options, takes
from app.http.disconnect import run_while_connected
from app.http.openapi import EXAMPLE_IMAGE, describe_errors, list_of_images
from app.http.schemas import PredictAnswer
from app.http.server_timing import longest_timing, name_stages
from app.http.services import exchange_of
from artifact.errors import ConvserveError

router = APIRouter(tags=["predict"], route_class=DirectRoute)

IMAGES = {
    "required": True,
    "content": {
        "image/*": {"schema": {"type": "string", "format": "binary"}},
        "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "properties": {"file": list_of_images({"type": "string", "format": "binary"})},
                "required": ["file"],
            }
        },
        "application/json": {
            "schema": {
                "type": "object",
                "properties": {"images": list_of_images({"type": "string"})},
                "required": ["images"],
            },
            "example": {"images": [EXAMPLE_IMAGE]},
        },
    },
}
ERRORS = describe_errors(400, 401, 404, 408, 413, 415, 422, 429, 503, 504)
_OPTIONS = describe_options(PredictOptions)


@router.post(
    "/predict/{model}",
    response_model=PredictAnswer,
    responses=ERRORS,
    openapi_extra=takes(IMAGES, MODEL, *_OPTIONS),
)
async def predict_with_model(request: Request) -> Response:
    """Classify one image or several."""
    return await _answer(request.path_params["model"], request)


@router.post(
    "/predict",
    response_model=PredictAnswer,
    responses=ERRORS,
    openapi_extra=takes(IMAGES, *_OPTIONS),
)
async def predict_with_default_model(request: Request) -> Response:
    """Classify with the model that the setting default_model names, or the only one there is."""
    return await _answer(None, request)


async def _answer(name: str | None, request: Request) -> Response:
    services = let_in(request)
    options = PredictOptions.read(dict(request.query_params))
    ticket = services.admission.admit(exchange_of(request), name, options)
    given = await read_images(request, services.settings, services.decoder, options.names())
    ticket.ask(options.with_body(given.options))
    outcomes = await run_while_connected(request, ticket.run(given.images))
    failures = [outcome for outcome in outcomes if isinstance(outcome, ConvserveError)]
    if len(failures) == len(outcomes):
        raise failures[0]
    timing = longest_timing(outcomes)
    body = write_answer(ticket.model, outcomes, timing, ticket.terms, services.admission.receipts)
    return Response(body, media_type="application/json", headers={"Server-Timing": name_stages(timing)})
