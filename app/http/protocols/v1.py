"""/v1/models: the form of TensorFlow Serving's and KServe's v1, thin: encoded images in, probabilities in label order
out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import prod
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from app.admission.tensors import read_pixels
from app.catalog.loading import Version
from app.errors import BadJson, too_many_images
from app.http.auth import let_in
from app.http.bodies.json import encode_json, parse_json
from app.http.bodies.stream import read_body, request_limit
from app.http.direct_route import MODEL, VERSION, DirectRoute, read_version, takes
from app.http.disconnect import run_while_connected
from app.http.openapi import EXAMPLE_IMAGE, describe_errors, example, list_of_images
from app.http.server_timing import longest_timing, name_stages
from app.http.services import ServicesDep, exchange_of
from app.inference.decoder import Encoded
from artifact.card import ModelCard
from artifact.errors import ConvserveError, EmptyBody
from artifact.images.frame import Pixels

predictions = APIRouter(prefix="/v1/models", tags=["v1"], route_class=DirectRoute)
"""To be asked before `router`: {model} there would match these addresses too, and name GET as the only method."""
router = APIRouter(prefix="/v1/models", tags=["v1"])

_SHAPE = 'send {"instances": [{"b64": "<base64>"}, ...]}, or pixels as nested whole numbers from 0 to 255'
_NUMBERS = re.compile(rb'"instances"\s*:\s*\[\s*\[')
_NUMBERS_WITHIN = 4096
_STATES = {"loaded": "AVAILABLE", "loading": "LOADING", "arriving": "START", "refused": "END", "unloaded": "END"}
_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["instances"],
                "properties": {
                    "signature_name": {"type": "string"},
                    "instances": list_of_images(
                        {
                            "oneOf": [
                                {
                                    "type": "object",
                                    "required": ["b64"],
                                    "properties": {"b64": {"type": "string", "description": "Base64 of a file."}},
                                },
                                {
                                    "type": "array",
                                    "items": {"type": "array", "items": {}},
                                    "description": "Pixels: whole numbers 0 to 255, [height, width, channels].",
                                },
                            ]
                        }
                    ),
                },
            },
            "example": {"instances": [{"b64": EXAMPLE_IMAGE}]},
        }
    },
}
_ANSWER: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The probabilities of each image, in label order.",
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["predictions"],
                    "properties": {
                        "predictions": {
                            "type": "array",
                            "items": {"type": "array", "items": {"type": "number"}},
                        }
                    },
                },
                "example": example(predictions=[[0.01, 0.98, 0.01]]),
            }
        },
    },
    **describe_errors(400, 401, 403, 404, 408, 413, 415, 422, 429, 503, 504),
}


@predictions.post("/{model}:predict", response_class=Response, responses=_ANSWER, openapi_extra=takes(_BODY, MODEL))
async def predict_v1(request: Request) -> Response:
    """Classify with the newest version."""
    return await _answer(request)


@predictions.post(
    "/{model}/versions/{version}:predict",
    response_class=Response,
    responses=_ANSWER,
    openapi_extra=takes(_BODY, MODEL, VERSION),
)
async def predict_v1_with_version(request: Request) -> Response:
    """Classify with one version."""
    return await _answer(request)


@router.get("/{model}", responses=describe_errors(404))
async def show_status(model: str, services: ServicesDep) -> dict[str, Any]:
    """The versions of a model and their state."""
    versions = services.catalog.versions(model)
    return {
        "model_version_status": [_describe(version) for version in versions],
        # What KServe's clients look at.
        "name": model,
        "ready": any(version.state == "loaded" for version in versions),
    }


@router.get("/{model}/versions/{version:int}", responses=describe_errors(404, 422))
async def show_version_status(model: str, version: Annotated[int, Path(ge=1)], services: ServicesDep) -> dict[str, Any]:
    """The state of one version."""
    found = [known for known in services.catalog.versions(model) if known.number == version]
    if not found:
        services.catalog.resolve(model, version)  # raises and says which there are
    return {"model_version_status": [_describe(known) for known in found]}


async def _answer(request: Request) -> Response:
    services = let_in(request)
    ticket = services.admission.admit(exchange_of(request), request.path_params["model"], read_version(request))
    body = await read_body(request, request_limit(services.settings))
    most, card = services.settings.max_images, ticket.model.card
    images = await ticket.parse(body, lambda body: _parse_instances(body, card, most))
    outcomes = await run_while_connected(request, ticket.run(images))
    predictions = []
    for place, outcome in enumerate(outcomes):
        if isinstance(outcome, ConvserveError):  # the form has no place for an error among the rows
            outcome.detail = f"instance {place}: {outcome.detail}"
            raise outcome
        predictions.append(outcome.scores.probabilities.tolist())
    headers = {"Server-Timing": name_stages(longest_timing(outcomes))}
    return Response(encode_json({"predictions": predictions}), media_type="application/json", headers=headers)


def _parse_instances(body: bytes, card: ModelCard, max_images: int) -> Sequence[Encoded | Pixels]:
    """{"b64": text} each, or pixels [height, width, channels] as the card has them."""
    # Two brackets and three commas an encoded image, whose data: URL has a comma of its own.
    values = prod(card.image.shape) if _NUMBERS.search(body, 0, _NUMBERS_WITHIN) else 2
    parsed = parse_json(
        body,
        _SHAPE,
        most_brackets=2 * values * max_images + 16,
        most_commas=2 * values * max_images + 16,
        too_many=too_many_images(max_images),
    )
    instances = parsed.get("instances") if isinstance(parsed, dict) else None
    if isinstance(instances, list) and instances and all(isinstance(instance, list) for instance in instances):
        if len(instances) > max_images:
            raise too_many_images(max_images)
        return read_pixels(instances, card, "instances")
    if not isinstance(instances, list) or not all(
        isinstance(instance, dict) and isinstance(instance.get("b64"), str) for instance in instances
    ):
        raise BadJson(f"the JSON has no list of images under the key instances: {_SHAPE}")
    if len(instances) > max_images:
        raise too_many_images(max_images)
    if not instances:
        raise EmptyBody(f"the list of instances is empty: {_SHAPE}")
    return [instance["b64"] for instance in instances]


def _describe(version: Version) -> dict[str, Any]:
    ok = version.state == "loaded"
    return {
        "version": str(version.number),
        "state": _STATES[version.state],
        "status": {"error_code": "OK" if ok else "UNAVAILABLE", "error_message": "" if ok else version.reason},
    }
