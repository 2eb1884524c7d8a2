"""What /openapi.json says beyond what the routes' own types say: each operation by the first words of its description,
every error with its body, an example of each answer, and what the settings make of it.
"""

from __future__ import annotations

import re
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from app import errors
from app.http.answers import ANSWERS
from app.http.problems import describe_problem
from app.http.schemas import Problem
from app.settings import Role, Settings
from artifact.errors import ConvserveError, TooManyPixels, UndecodableImage, UnsupportedType

MANAGEMENT = "management"
"""The tag of what needs an admin key."""

TAGS = {
    "predict": "Classify images",
    "explain": "Where the network looked",
    "models": "Models, aliases and shadows",
    MANAGEMENT: "Management, with an admin key",
    "health": "Health and metrics",
    "v2": "The Open Inference Protocol v2, as Triton and KServe speak it",
    "v1": "TensorFlow Serving's form (v1)",
    "torchserve": "TorchServe's form",
    "huggingface": "Hugging Face's form",
    "sagemaker": "SageMaker's and MLflow's form",
    "vertex": "Vertex AI's form",
}
"""The groups of operations, in the order in which they are shown, each with its heading."""

_PARAMETERS = {
    "model": "A name that /models lists.",
    "version": "The number of a version.",
    "file": "A name that the list without it answers.",
    "disagreement": "The `id` of one of the disagreements that /shadows/{name} lists.",
    "by": "Whose answer is explained: of (the model that answers) or run (the one beside it).",
}
"""What a parameter means, where its route doesn't say it."""

_MOST_IMAGES = "max_images"

# Of a description: up to the first mark that ends a sentence or begins a list.
_FIRST_WORDS = re.compile(r"[.:;](?=\s|$)")

Responses = dict[int | str, dict[str, Any]]

_PROBLEM_TYPE = "application/problem+json"
_PROBLEM = {"$ref": "#/components/schemas/Problem"}

# A gray PNG of 8x8 pixels: every model takes it, so that the examples of requests answer 200.
EXAMPLE_IMAGE = "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAAAAADhZOFXAAAAEElEQVR4nGM8wQABTAwUMQA6AADYhMgK6QAAAABJRU5ErkJggg=="

_EXAMPLES: dict[int, tuple[str, ConvserveError]] = {
    400: (
        "The image or body can't be read",
        UndecodableImage("the JPEG of 400 bytes can't be decoded: it is truncated, send the file again, whole"),
    ),
    401: ("A key is needed or wrong", errors.Unauthorized("send a key: Authorization: Bearer KEY")),
    403: (
        "Management is off, or the key is for other models",
        errors.ManagementOff(
            "model management needs an admin key: make one with `convserve key` and add its hash to admin_keys"
        ),
    ),
    404: (
        "No such model or version, or it was refused",
        errors.UnknownModel("there is no model 'lenet'; there are lenet5, resnet18"),
    ),
    408: (
        "The header or body came too slowly",
        errors.RequestTimeout("the body was not complete after 30 s (body_timeout_s): send it faster"),
    ),
    409: ("The load is refused; nothing changed", errors.LoadRefused("lenet5 version 2 is refused: ...")),
    413: (
        "Too many bytes, pixels, images or rows",
        TooManyPixels("the image has 30000x30000 pixels, the limit (max_pixels) is 50,000,000"),
    ),
    415: ("Unsupported type", UnsupportedType("Content-Type 'text/plain' is not supported: send image/*")),
    422: ("Bad parameter", errors.InvalidParameter("top_k is 0, lenet5 has 10 classes: give a number from 1 to 10")),
    429: (
        "The queue is full, the wait would be longer than the deadline, or the key's rate is used up",
        errors.Overloaded("256 of the 256 places in the queue (max_queue_rows) are taken", retry_after_s=2),
    ),
    503: (
        "Loading, shutting down, or the device failed",
        errors.Loading("lenet5 is being loaded: try again in a moment"),
    ),
    504: ("The deadline passed", errors.DeadlineExceeded("no answer within 10,000 ms: the deadline passed")),
}


def describe_errors(*statuses: int) -> Responses:
    """The `responses` of a route for these statuses."""
    return {status: _describe_error(status) for status in statuses}


def example(**values: Any) -> dict[str, Any]:
    """An example answer, spelled as keyword arguments."""
    return values


def list_of_images(items: dict[str, Any]) -> dict[str, Any]:
    """The schema of an array with one entry per image; how many it may have is a setting, put in by build_openapi."""
    return {"type": "array", "minItems": 1, "maxItems": _MOST_IMAGES, "items": items}


def describe_json(schema: dict[str, Any], *, required: bool = True, **more: Any) -> dict[str, Any]:
    """The `openapi_extra` of a route that reads JSON itself; `more` stands beside the schema, an example, say."""
    return {"requestBody": {"required": required, "content": {"application/json": {"schema": schema, **more}}}}


def build_openapi(app: FastAPI, settings: Settings) -> dict[str, Any]:
    """The document of /openapi.json, made once."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title,
            version=app.version,
            summary=app.summary,
            description=app.description,
            routes=app.routes,
        )
        _correct(document, settings)
        app.openapi_schema = document
    return app.openapi_schema


def _correct(document: dict[str, Any], settings: Settings) -> None:
    """FastAPI's own 422 has a body of another form than ours; ours isn't a type that it can put on a media type. A key
    is asked for only where keys are set.
    """
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    schemas["Problem"] = Problem.model_json_schema()
    operations = [operation for methods in document["paths"].values() for operation in methods.values()]
    used = {tag for operation in operations for tag in operation["tags"]}
    document["tags"] = [{"name": tag, "description": title} for tag, title in TAGS.items() if tag in used]
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            # FastAPI makes a summary of the function's name: `Predict V1 With Version`.
            operation["summary"] = _FIRST_WORDS.split(operation["description"], maxsplit=1)[0]
            for parameter in operation.get("parameters", ()):
                if "description" not in parameter | parameter["schema"]:
                    parameter["description"] = _PARAMETERS[parameter["name"]]
            found = operation["responses"]
            if (answer := ANSWERS.get(f"{method.upper()} {path}")) is not None:
                found["200"]["content"]["application/json"]["example"] = answer
            if "HTTPValidationError" in str(found.get("422", "")):
                found["422"] = _describe_error(422)
            role: Role = "admin" if MANAGEMENT in operation["tags"] else "predict"
            if "security" in operation and not settings.has_keys(role):
                del operation["security"]
                found.pop("401", None)
            if role == "predict" and all(table.models is None for table in settings.keys.values()):
                found.pop("403", None)
            _replace(operation, _MOST_IMAGES, settings.max_images)


def _replace(part: Any, mark: object, value: object) -> None:
    """Every `mark` in nested dicts and lists becomes `value`."""
    for place, child in part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ():
        if child == mark:
            part[place] = value
        else:
            _replace(child, mark, value)


def _describe_error(status: int) -> dict[str, Any]:
    text, error = _EXAMPLES[status]
    described: dict[str, Any] = {
        "description": text,
        "content": {
            _PROBLEM_TYPE: {
                "schema": _PROBLEM,
                "example": describe_problem(error, instance="/predict/lenet5", request_id="9f1c2ab04d17-3"),
            }
        },
    }
    if "Retry-After" in error.headers:
        described["headers"] = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}
    return described
