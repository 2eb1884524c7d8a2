"""/hf/{model}: the form of Hugging Face's inference API, as huggingface_hub's InferenceClient sends it."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.admission.options import PredictOptions
from app.errors import BadJson, InvalidParameter
from app.http.api.predict import ERRORS, IMAGES
from app.http.bodies.json import encode_json, parse_json
from app.http.classify import Posted, classify_one
from app.http.direct_route import MODEL, DirectRoute, takes
from app.http.openapi import EXAMPLE_IMAGE, example
from app.http.server_timing import name_stages
from artifact.card import ModelCard

router = APIRouter(prefix="/hf", tags=["huggingface"], route_class=DirectRoute)

_SHAPE = 'send the image itself, or {"inputs": "<base64>", "parameters": {"top_k": 3}}'
_TEXT = {"type": "string", "description": "Base64 of a file."}
_PARAMETERS = {"type": "object", "properties": {"top_k": {"type": "integer", "minimum": 1}}}
_JSON = {"type": "object", "required": ["inputs"], "properties": {"inputs": _TEXT, "parameters": _PARAMETERS}}
_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        **IMAGES["content"],
        "application/json": {"schema": _JSON, "example": {"inputs": EXAMPLE_IMAGE, "parameters": {"top_k": 2}}},
    },
}
_CLASS = {"type": "object", "properties": {"label": {"type": "string"}, "score": {"type": "number"}}}
_ANSWER: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The top_k most probable labels, best first.",
        "content": {
            "application/json": {
                "schema": {"type": "array", "items": _CLASS},
                "example": [example(label="tabby", score=0.87)],
            }
        },
    },
    **ERRORS,
}


@router.post(
    "/{model}",
    operation_id="huggingface_classify",
    response_class=Response,
    responses=_ANSWER,
    openapi_extra=takes(_BODY, MODEL),
)
async def classify_image(request: Request) -> Response:
    """Classify with the newest version, or what an alias means."""
    best = await classify_one(request, PredictOptions(), _parse)
    answer = [{"label": entry.label, "score": entry.probability} for entry in best.classes]
    headers = {"Server-Timing": name_stages(best.prediction.timing)}
    return Response(encode_json(answer), media_type="application/json", headers=headers)


def _parse(body: bytes, card: ModelCard, max_images: int) -> Posted:
    """Raises BadJson, and InvalidParameter for other parameters than top_k."""
    several = BadJson(f"the JSON has values that are not an image: {_SHAPE}")
    parsed = parse_json(body, _SHAPE, most_brackets=64, most_commas=64, too_many=several)
    image = parsed.get("inputs") if isinstance(parsed, dict) else None
    if not isinstance(image, str):
        raise BadJson(f"the JSON has no string under the key inputs: {_SHAPE}")
    parameters = parsed.get("parameters") or {}
    if not isinstance(parameters, dict):
        raise BadJson(f"parameters is not an object: {_SHAPE}")
    given = {name: value for name, value in parameters.items() if value is not None}
    if unknown := sorted(given.keys() - {"top_k"}):
        raise InvalidParameter(f"unknown parameter {unknown[0][:40]!r}, only top_k is known: leave it out")
    return Posted([image], given)
