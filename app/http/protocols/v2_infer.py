"""POST /v2/models/{model}/infer: the Open Inference Protocol's prediction, with the binary and classification
extensions.
"""

from __future__ import annotations

from math import prod
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.admission.admission import ANY
from app.admission.outputs import Output, make_outputs
from app.admission.tensors import SHAPE, InferRequest, check_length, read_request
from app.errors import too_many_images
from app.http.auth import let_in
from app.http.bodies.json import encode_json, parse_json
from app.http.bodies.stream import read_body, request_limit
from app.http.direct_route import MODEL, VERSION, DirectRoute, read_version, takes
from app.http.disconnect import run_while_connected
from app.http.openapi import EXAMPLE_IMAGE, describe_errors, example
from app.http.server_timing import longest_timing, name_stages
from app.http.services import exchange_of
from app.inference.model import LoadedModel
from artifact.card import ModelCard

# JSON of this form has a few marks besides those of its tensors.
_SPARE_MARKS = 1024

router = APIRouter(prefix="/v2/models", tags=["v2"], route_class=DirectRoute)

_TENSOR = {
    "type": "object",
    "required": ["name", "datatype", "shape"],
    "properties": {
        "name": {"type": "string", "enum": ["image"]},
        "datatype": {"type": "string", "enum": ["UINT8", "BYTES"]},
        "shape": {"type": "array", "items": {"type": "integer", "minimum": 1}},
        "data": {"type": "array", "items": {}, "description": "Numbers 0 to 255, or base64 texts of image files."},
        "parameters": {"type": "object"},
    },
}
_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["inputs"],
                "properties": {
                    "id": {"type": "string"},
                    "inputs": {"type": "array", "minItems": 1, "maxItems": 1, "items": _TENSOR},
                    "outputs": {"type": "array", "items": {"type": "object", "required": ["name"]}},
                    "parameters": {"type": "object"},
                },
            },
            "example": {
                "inputs": [{"name": "image", "datatype": "BYTES", "shape": [1], "data": [EXAMPLE_IMAGE]}],
                "outputs": [{"name": "probabilities", "parameters": {"classification": 2}}],
            },
        },
        "application/octet-stream": {
            "schema": {
                "type": "string",
                "format": "binary",
                "description": "JSON, followed by the tensors' binary data (Inference-Header-Content-Length).",
            },
        },
    },
}
_ANSWER: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The tensors: JSON, or JSON followed by binary data (Inference-Header-Content-Length).",
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["model_name", "model_version", "outputs"],
                    "properties": {
                        "model_name": {"type": "string"},
                        "model_version": {"type": "string"},
                        "id": {"type": "string"},
                        "outputs": {"type": "array", "items": {"type": "object"}},
                    },
                },
                "example": example(
                    model_name="lenet5",
                    model_version="1",
                    outputs=[{"name": "energy", "datatype": "FP32", "shape": [1], "data": [9.25]}],
                ),
            },
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        },
    },
    **describe_errors(400, 401, 403, 404, 408, 413, 415, 422, 429, 503, 504),
}
_HEADER_LENGTH: dict[str, Any] = {
    "name": "Inference-Header-Content-Length",
    "in": "header",
    "required": False,
    "schema": {"anyOf": [{"type": "string"}, {"type": "null"}], "title": "Inference-Header-Content-Length"},
    "description": "Bytes of the JSON part, where binary data follows.",
}


@router.post(
    "/{model}/infer",
    operation_id="v2_model_infer",
    response_class=Response,
    responses=_ANSWER,
    openapi_extra=takes(_BODY, MODEL, _HEADER_LENGTH),
)
async def infer(request: Request) -> Response:
    """Classify tensors or encoded images with the newest version."""
    return await _answer(request)


@router.post(
    "/{model}/versions/{version}/infer",
    operation_id="v2_version_infer",
    response_class=Response,
    responses=_ANSWER,
    openapi_extra=takes(_BODY, MODEL, VERSION, _HEADER_LENGTH),
)
async def infer_with_version(request: Request) -> Response:
    """Classify tensors or encoded images with one version."""
    return await _answer(request)


async def _answer(request: Request) -> Response:
    services = let_in(request)
    name, version = request.path_params["model"], read_version(request)
    ticket = services.admission.admit(exchange_of(request), name, version, priority=ANY)
    header_length = request.headers.get("inference-header-content-length")
    body = await read_body(request, request_limit(services.settings))
    most, card = services.settings.max_images, ticket.model.card
    asked = await ticket.parse(body, lambda body: _parse(body, header_length, card, most))
    timeout_s = asked.limit(ticket.terms.timeout_s)
    results = await run_while_connected(request, ticket.run(asked.rows, timeout_s, asked.priority, asked.embeds))
    outputs = make_outputs(ticket.model, asked.outputs, results)
    return _render(ticket.model, asked, outputs, {"Server-Timing": name_stages(longest_timing(results))})


def _parse(body: bytes, header_length: str | None, card: ModelCard, max_images: int) -> InferRequest:
    """JSON, or JSON of `header_length` bytes with binary data behind it. Raises as `read_request` does, and BadJson."""
    length = check_length(header_length, len(body))
    values = max_images * prod(card.image.shape)
    parsed = parse_json(
        body[:length],
        SHAPE,
        most_brackets=2 * values + _SPARE_MARKS,
        most_commas=values + _SPARE_MARKS,
        too_many=too_many_images(max_images),
    )
    return read_request(parsed, memoryview(body)[length:], card, max_images)


def _render(model: LoadedModel, asked: InferRequest, given: list[Output], headers: dict[str, str]) -> Response:
    tails: list[bytes] = []
    outputs = []
    for wanted, output in zip(asked.outputs, given, strict=True):
        rendered: dict[str, Any] = {"name": output.name, "datatype": output.datatype, "shape": output.shape}
        if wanted.binary:
            tails.append(output.write())
            rendered["parameters"] = {"binary_data_size": len(tails[-1])}
        else:
            rendered["data"] = output.data if isinstance(output.data, list) else output.data.ravel().tolist()
        outputs.append(rendered)
    answer: dict[str, Any] = {"model_name": model.name, "model_version": str(model.version), "outputs": outputs}
    if asked.id is not None:
        answer["id"] = asked.id
    head = encode_json(answer)
    if not tails:
        return Response(head, media_type="application/json", headers=headers)
    headers["Inference-Header-Content-Length"] = str(len(head))
    return Response(b"".join([head, *tails]), media_type="application/octet-stream", headers=headers)
