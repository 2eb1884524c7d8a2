"""POST /predict/{model}: images in one of three forms, classes out."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from app.errors import ConvserveError, InvalidParameter
from app.familiarity import explain_unfamiliar
from app.model import LoadedModel
from app.prediction import Class, Prediction, Timing, check_top_k, find_score, label_set, predict, top_classes
from app.routes.answers import PredictAnswer, Problem
from app.routes.bodies import read_images
from app.routes.disconnect import run_while_connected
from app.routes.encoding import encode_json
from app.routes.services import Services, ServicesDep

router = APIRouter(tags=["predict"])

IMAGES = {
    "required": True,
    "content": {
        "image/*": {"schema": {"type": "string", "format": "binary"}},
        "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "properties": {"file": {"type": "array", "items": {"type": "string", "format": "binary"}}},
                "required": ["file"],
            }
        },
        "application/json": {
            "schema": {
                "type": "object",
                "properties": {"images": {"type": "array", "items": {"type": "string"}, "minItems": 1}},
                "required": ["images"],
            }
        },
    },
}
ERRORS: dict[int | str, dict[str, Any]] = {
    status: {
        "description": text,
        "content": {"application/problem+json": {"schema": Problem.model_json_schema()}},
    }
    for status, text in {
        400: "The image or body can't be read",
        404: "No such model or version, or it was refused",
        413: "Too many bytes, pixels, images or rows",
        415: "Unsupported type",
        422: "Bad parameter",
        429: "The queue is full, or the wait would be longer than the deadline",
        503: "The model is loading, the server is shutting down, or the device failed",
        504: "The deadline passed",
    }.items()
}


class PredictOptions(BaseModel):
    """The query of a prediction. An unknown parameter is an error, so that a misspelled one isn't ignored."""

    model_config = ConfigDict(extra="forbid")

    version: int | None = Field(None, ge=1, description="Default: the newest.")
    top_k: int | None = Field(None, description="How many classes, 1 to all. Default: 5.")
    coverage: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Also answer the set of labels that holds the true one at least so often.",
    )
    timeout_ms: int | None = Field(None, ge=1, description="A deadline shorter than the server's.")


@router.post(
    "/predict/{model}",
    response_model=PredictAnswer,
    response_model_exclude_unset=True,
    responses=ERRORS,
    openapi_extra={"requestBody": IMAGES},
)
async def predict_with_model(
    model: Annotated[str, Path(description="A name that /models lists.")],
    options: Annotated[PredictOptions, Query()],
    request: Request,
    services: ServicesDep,
) -> Response:
    """Classify one image or several."""
    return await _answer(model, options, request, services)


@router.post(
    "/predict",
    response_model=PredictAnswer,
    response_model_exclude_unset=True,
    responses=ERRORS,
    openapi_extra={"requestBody": IMAGES},
)
async def predict_with_default_model(
    options: Annotated[PredictOptions, Query()], request: Request, services: ServicesDep
) -> Response:
    """Classify with the model that the setting default_model names, or the only one there is."""
    return await _answer(None, options, request, services)


async def _answer(name: str | None, options: PredictOptions, request: Request, services: Services) -> Response:
    # What can be refused is refused before the body is read.
    model = services.catalog.resolve(name, options.version)
    top_k = check_top_k(model, options.top_k)
    score = None if options.coverage is None else find_score(model, options.coverage)
    timeout_s = find_timeout(model, options.timeout_ms)
    model.batcher.check_room(1)
    images = await read_images(request, services.settings, services.decoder)
    # Asked again: the model may have been replaced while the body came in.
    model = services.catalog.resolve(name, options.version)
    with model.batcher.reserve(len(images), asyncio.get_running_loop().time() + timeout_s) as places:
        work = [predict(model, image, places, services.decoder) for image in images]
        outcomes = await run_while_connected(request, _gather(work))
    failures = [outcome for outcome in outcomes if isinstance(outcome, ConvserveError)]
    if len(failures) == len(outcomes):
        raise failures[0]
    body, timing = _translate(model, outcomes, top_k, score)
    stages = f"decode;dur={timing.decode_ms:.2f}, queue;dur={timing.queue_ms:.2f}, infer;dur={timing.infer_ms:.2f}"
    return Response(encode_json(body), media_type="application/json", headers={"Server-Timing": stages})


async def _gather(work: Sequence[Coroutine[Any, Any, Prediction]]) -> list[Prediction | ConvserveError]:
    """Each image's prediction or its own error; an error that isn't one of ours ends the request."""
    outcomes = await asyncio.gather(*work, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException) and not isinstance(outcome, ConvserveError):
            raise outcome
    return outcomes  # type: ignore[return-value]


def find_timeout(model: LoadedModel, timeout_ms: int | None) -> float:
    """Seconds that a request may take. Raises InvalidParameter where it asks for more than the server's own."""
    if timeout_ms is None:
        return model.timeout_s
    if timeout_ms > model.timeout_s * 1e3:
        raise InvalidParameter(
            f"timeout_ms is {timeout_ms}, the server's own is {model.timeout_s * 1e3:.0f}: a request may "
            "only shorten it"
        )
    return timeout_ms / 1e3


def _translate(
    model: LoadedModel, outcomes: Sequence[Prediction | ConvserveError], top_k: int, score: float | None
) -> tuple[dict[str, Any], Timing]:
    timings = [outcome.timing for outcome in outcomes if isinstance(outcome, Prediction)]
    longest = Timing(
        round(max(timing.decode_ms for timing in timings), 3),
        round(max(timing.queue_ms for timing in timings), 3),
        round(max(timing.infer_ms for timing in timings), 3),
        max(timing.batch_size for timing in timings),
    )
    body = {
        "model": model.name,
        "version": model.version,
        "predictions": [_translate_one(model, outcome, top_k, score) for outcome in outcomes],
        "timing": {
            "decode_ms": longest.decode_ms,
            "queue_ms": longest.queue_ms,
            "infer_ms": longest.infer_ms,
            "batch_size": longest.batch_size,
        },
    }
    return body, longest


def _translate_one(
    model: LoadedModel, outcome: Prediction | ConvserveError, top_k: int, score: float | None
) -> dict[str, Any]:
    if isinstance(outcome, ConvserveError):
        return {"error": {"status": outcome.status, "code": outcome.code, "detail": outcome.detail}}
    probabilities = outcome.scores.probabilities
    answer: dict[str, Any] = {"classes": _translate_classes(top_classes(model, probabilities, top_k))}
    if score is not None:
        answer["set"] = _translate_classes(label_set(model, probabilities, score))
    if (warning := explain_unfamiliar(model.card, outcome.scores.energy)) is not None:
        answer["warning"] = warning
    return answer


def _translate_classes(classes: Sequence[Class]) -> list[dict[str, Any]]:
    return [{"label": c.label, "index": c.index, "probability": c.probability} for c in classes]
