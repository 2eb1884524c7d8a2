"""/predictions: TorchServe's form, one image in, its most probable labels out."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.http.api.predict import ERRORS, IMAGES
from app.http.bodies.json import encode_json
from app.http.classify import classify_one
from app.http.direct_route import MODEL, VERSION, DirectRoute, read_version, takes
from app.http.openapi import example
from app.http.server_timing import name_stages

router = APIRouter(prefix="/predictions", tags=["torchserve"], route_class=DirectRoute)

_SCHEMA = {"type": "object", "additionalProperties": {"type": "number"}}
_ANSWER: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The probabilities of the five most probable labels, best first.",
        "content": {"application/json": {"schema": _SCHEMA, "example": example(tabby=0.87, lynx=0.05)}},
    },
    **ERRORS,
}


_OF_NEWEST: dict[str, Any] = {
    "path": "/{model}",
    "response_class": Response,
    "responses": _ANSWER,
    "openapi_extra": takes(IMAGES, MODEL),
}
_OF_VERSION = {**_OF_NEWEST, "path": "/{model}/{version}", "openapi_extra": takes(IMAGES, MODEL, VERSION)}


@router.post(operation_id="torchserve_predict", **_OF_NEWEST)
@router.put(operation_id="torchserve_put", **_OF_NEWEST)  # as curl -T sends it
async def predict(request: Request) -> Response:
    """Classify with the newest version."""
    return await _answer(request)


@router.post(operation_id="torchserve_predict_version", **_OF_VERSION)
@router.put(operation_id="torchserve_put_version", **_OF_VERSION)
async def predict_with_version(request: Request) -> Response:
    """Classify with one version."""
    return await _answer(request)


async def _answer(request: Request) -> Response:
    best = await classify_one(request, read_version(request))
    answer: dict[str, float] = {}
    for entry in best.classes:
        answer.setdefault(entry.label, entry.probability)  # where two classes have one label, the more probable one's
    headers = {"Server-Timing": name_stages(best.prediction.timing)}
    return Response(encode_json(answer), media_type="application/json", headers=headers)
