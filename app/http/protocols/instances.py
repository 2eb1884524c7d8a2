"""Reads {"instances": [...]} and writes all probabilities, in label order, as {"predictions": [...]}: common to
TensorFlow Serving, KServe v1, SageMaker, MLflow and Vertex AI.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from app.admission.options import PredictOptions
from app.admission.tensors import read_pixels
from app.admission.underway import ImageResult
from app.errors import BadJson, InvalidParameter, too_many_images
from app.http.api.predict import ERRORS, IMAGES, write_response
from app.http.bodies.images import parse_json_images
from app.http.bodies.json import encode_json, parse_json
from app.http.classify import Posted, classify
from app.http.openapi import EXAMPLE_IMAGE, example, list_of_images
from app.http.server_timing import longest_timing, name_stages
from app.inference.decoder import Encoded
from artifact.card import ModelCard
from artifact.errors import ConvserveError, EmptyBody
from artifact.images.frame import Pixels

_SHAPE = 'send {"instances": [{"b64": "<base64>"}, ...]}, or pixels as nested whole numbers from 0 to 255'
_KEYS = ("instances", "inputs")
"""The second is TensorFlow Serving's columnar format, and what MLflow calls them."""
_TEXT_KEYS = ("b64", "data", "body")
"""Of an instance's base64 text; the latter two are TorchServe's under KServe."""
_PARAMETER_KEYS = ("parameters", "params")
_PARAMETERS = ("timeout_ms", "version")
_NUMBERS = re.compile(rb'"(instances|inputs)"\s*:\s*\[\s*\[')
_NUMBERS_WITHIN = 4096

INSTANCES = list_of_images(
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
)
_PARAMETERS_SCHEMA = {
    "type": "object",
    "properties": {name: {"type": "integer", "minimum": 1} for name in _PARAMETERS},
    "additionalProperties": False,
}
_JSON = {
    "anyOf": [
        {"type": "object", "required": [key], "properties": {key: INSTANCES, "parameters": _PARAMETERS_SCHEMA}}
        for key in _KEYS
    ]
}
ANY_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        **IMAGES["content"],
        "application/json": {"schema": _JSON, "example": {"instances": [{"b64": EXAMPLE_IMAGE}]}},
    },
}


def describe_rows(*keys: str, other: Mapping[str, Any] | None = None) -> dict[int | str, dict[str, Any]]:
    """Responses: the rows under one of `keys`, or where the form has an `other` answer, one of that schema."""
    rows = {"type": "array", "items": {"type": "array", "items": {"type": "number"}}}
    schemas = [{"type": "object", "required": [key], "properties": {key: rows}} for key in keys]
    content = {
        "schema": {"anyOf": [*schemas, *([other] if other else [])]},
        "example": example(predictions=[[0.01, 0.98, 0.01]]),
    }
    words = "The probabilities of each image, in label order."
    if other:
        words = "For instances and inputs the probabilities of each image, in label order; else as /predict."
    return {200: {"description": words, "content": {"application/json": content}}, **ERRORS}


ROWS_OR_CLASSES = describe_rows("predictions", other={"$ref": "#/components/schemas/PredictAnswer"})


async def answer_any(request: Request, name: str | None) -> Response:
    """Answer a request: a body in a form of /predict as /predict does, {"instances"} and {"inputs"} with rows."""
    options = PredictOptions.read(dict(request.query_params))
    classified = await classify(request, name, options, _parse_any)
    return write_rows(classified.results) if classified.posted.key else write_response(classified)


def write_rows(results: Sequence[ImageResult], key: str = "predictions") -> Response:
    """{"predictions": [[p, ...], ...]}. Raises the first error: the form has no place for one among the rows."""
    predictions = []
    for place, result in enumerate(results):
        if isinstance(result, ConvserveError):
            result.detail = f"instance {place}: {result.detail}"
            raise result
        predictions.append(result.scores.probabilities.tolist())
    headers = {"Server-Timing": name_stages(longest_timing(results))}
    return Response(encode_json({key: predictions}), media_type="application/json", headers=headers)


def parse_instances(body: bytes, card: ModelCard, max_images: int) -> Posted:
    """{"b64": text} each, maybe under the name of an input, or pixels [height, width, channels] as the card has them;
    and the parameters beside them.

    Raises BadJson, BadTensor, EmptyBody, InvalidParameter for a parameter that there isn't, and TooManyImages, before
    it parses what can't be right.
    """
    # Two brackets and three commas an encoded image, whose data: URL has a comma of its own.
    values = prod(card.image.shape) if _NUMBERS.search(body, 0, _NUMBERS_WITHIN) else 2
    parsed = parse_json(
        body,
        _SHAPE,
        most_brackets=2 * values * max_images + 16,
        most_commas=2 * values * max_images + 16,
        too_many=too_many_images(max_images),
    )
    if not isinstance(parsed, dict):
        raise BadJson(f"the JSON is not an object: {_SHAPE}")
    key = next((key for key in _KEYS if key in parsed), _KEYS[0])
    instances = parsed.get(key)
    if isinstance(instances, dict) and len(instances) == 1:  # columns, by the names of a model's inputs
        (instances,) = instances.values()
    return Posted(_read_instances(instances, card, max_images), _read_parameters(parsed), key)


def _parse_any(body: bytes, card: ModelCard, max_images: int) -> Posted:
    if any(f'"{key}"'.encode() in body for key in _KEYS):  # no base64 holds a quotation mark
        return parse_instances(body, card, max_images)
    return Posted(*parse_json_images(body, max_images, PredictOptions.names()))


def _read_instances(instances: Any, card: ModelCard, max_images: int) -> Sequence[Encoded | Pixels]:
    if not isinstance(instances, list):
        raise BadJson(f"the JSON has no list of images under the key instances: {_SHAPE}")
    if len(instances) > max_images:
        raise too_many_images(max_images)
    if not instances:
        raise EmptyBody(f"the list of instances is empty: {_SHAPE}")
    if all(isinstance(instance, list) for instance in instances):
        return read_pixels(instances, card, "instances")
    return [_read_instance(place, instance) for place, instance in enumerate(instances)]


def _read_instance(place: int, instance: Any) -> str:
    """The base64 text of an instance, which may have a name of its own and stand beside what isn't an image."""
    if not isinstance(instance, dict):
        raise BadJson(f"instance {place} is no object with an image: {_SHAPE}")
    texts = [instance[key] for key in _TEXT_KEYS if isinstance(instance.get(key), str)]
    texts += [
        value["b64"] for value in instance.values() if isinstance(value, dict) and isinstance(value.get("b64"), str)
    ]
    if len(texts) != 1:
        raise BadJson(f"instance {place} has {len(texts) or 'no'} images, and must have one: {_SHAPE}")
    return str(texts[0])


def _read_parameters(parsed: dict[str, Any]) -> dict[str, Any]:
    found: Any = next((parsed[key] for key in _PARAMETER_KEYS if parsed.get(key) is not None), {})
    if not isinstance(found, dict):
        raise InvalidParameter(f"parameters is {str(found)[:40]!r}: send an object with {' or '.join(_PARAMETERS)}")
    if unknown := sorted(found.keys() - set(_PARAMETERS)):
        raise InvalidParameter(
            f"unknown parameter {unknown[0][:40]!r} next to instances: known are {' and '.join(_PARAMETERS)}"
        )
    return found
