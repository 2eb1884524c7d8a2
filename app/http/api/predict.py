"""POST /predict/{model}: images in one of three forms, classes out."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from app.admission.admission import choose_model, longest_timing, name_stages, run_images
from app.errors import InvalidParameter
from app.http.api.predict_json import write_answer
from app.http.auth import check_predict_key
from app.http.bodies.images import read_images
from app.http.openapi import describe_errors
from app.http.schemas import PredictAnswer
from app.http.services import Services, ServicesDep
from app.inference.labels import check_top_k, find_score
from app.inference.model import LoadedModel
from artifact.errors import ConvserveError

router = APIRouter(tags=["predict"], dependencies=[Depends(check_predict_key)])

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
ERRORS = describe_errors(400, 401, 404, 408, 413, 415, 422, 429, 503, 504)


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
    model = choose_model(request, services, name, options.version)
    top_k = check_top_k(model, options.top_k)
    score = None if options.coverage is None else find_score(model, options.coverage)
    timeout_s = find_timeout(model, options.timeout_ms)
    model.batcher.check_room(1)
    images = await read_images(request, services.settings, services.decoder)
    model = choose_model(request, services, name, options.version)
    outcomes = await run_images(request, services, model, images, timeout_s)
    failures = [outcome for outcome in outcomes if isinstance(outcome, ConvserveError)]
    if len(failures) == len(outcomes):
        raise failures[0]
    timing = longest_timing(outcomes)
    body = write_answer(model, outcomes, timing, top_k, score)
    return Response(body, media_type="application/json", headers={"Server-Timing": name_stages(timing)})


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
