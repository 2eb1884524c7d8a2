"""POST /predict/{model}: images in one of three forms, classes out."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.admission.options import PredictOptions
from app.http.api.predict_json import write_answer
from app.http.classify import Classified, classify
from app.http.direct_route import MODEL, DirectRoute, describe_options, takes
from app.http.openapi import EXAMPLE_IMAGE, describe_errors, list_of_images
from app.http.schemas import PredictAnswer
from app.http.server_timing import longest_timing, name_stages
from artifact.errors import ConvserveError

router = APIRouter(tags=["predict"], route_class=DirectRoute)

_FILE = {"type": "string", "format": "binary", "description": "An image file as it is: JPEG, PNG, WebP, ..."}
IMAGES: dict[str, Any] = {
    "required": True,
    "content": {
        "image/*": {"schema": _FILE},
        "application/octet-stream": {"schema": _FILE},
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "description": "A form with `file` once an image.",
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
ERRORS = describe_errors(400, 401, 403, 404, 408, 413, 415, 422, 429, 503, 504)
_OPTIONS = describe_options(PredictOptions)


@router.post(
    "/predict/{model}",
    operation_id="predict",
    response_model=PredictAnswer,
    responses=ERRORS,
    openapi_extra=takes(IMAGES, MODEL, *_OPTIONS),
)
async def predict_with_model(request: Request) -> Response:
    """Classify one image or several."""
    return await _answer(request.path_params["model"], request)


@router.post(
    "/predict",
    operation_id="predict_default",
    response_model=PredictAnswer,
    responses=ERRORS,
    openapi_extra=takes(IMAGES, *_OPTIONS),
)
async def predict_with_default_model(request: Request) -> Response:
    """Classify with the model that the setting default_model names, or the only one there is."""
    return await _answer(None, request)


async def _answer(name: str | None, request: Request) -> Response:
    return write_response(await classify(request, name, PredictOptions.read(dict(request.query_params))))


def write_response(classified: Classified) -> Response:
    """PredictAnswer. Raises the first error where every image has one."""
    ticket, _, results = classified
    failures = [result for result in results if isinstance(result, ConvserveError)]
    if len(failures) == len(results):
        raise failures[0]
    timing = longest_timing(results)
    body = write_answer(ticket.model, results, timing, ticket.terms, ticket.receipts)
    return Response(body, media_type="application/json", headers={"Server-Timing": name_stages(timing)})
