"""/v1/models: the form of TensorFlow Serving's and KServe's v1, thin: encoded images in, probabilities in label order
out.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from app.catalog.loading import Version
from app.http.classify import classify
from app.http.direct_route import MODEL, VERSION, DirectRoute, read_version, takes
from app.http.openapi import EXAMPLE_IMAGE, describe_errors
from app.http.protocols.instances import INSTANCES, describe_rows, parse_instances, write_rows
from app.http.services import ServicesDep

predictions = APIRouter(prefix="/v1/models", tags=["v1"], route_class=DirectRoute)
"""To be asked before `router`: {model} there would match these addresses too, and name GET as the only method."""
router = APIRouter(prefix="/v1/models", tags=["v1"])

_STATES = {"loaded": "AVAILABLE", "loading": "LOADING", "arriving": "START", "refused": "END", "unloaded": "END"}
_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "anyOf": [{"required": ["instances"]}, {"required": ["inputs"]}],
                "properties": {
                    "signature_name": {"type": "string"},
                    "instances": INSTANCES,
                    "inputs": INSTANCES,
                },
            },
            "example": {"instances": [{"b64": EXAMPLE_IMAGE}]},
        }
    },
}
_ANSWERS = describe_rows("predictions", "outputs")


@predictions.post(
    "/{model}:predict",
    operation_id="v1_predict",
    response_class=Response,
    responses=_ANSWERS,
    openapi_extra=takes(_BODY, MODEL),
)
async def predict_v1(request: Request) -> Response:
    """Classify with the newest version."""
    return await _answer(request)


@predictions.post(
    "/{model}/versions/{version}:predict",
    operation_id="v1_predict_version",
    response_class=Response,
    responses=_ANSWERS,
    openapi_extra=takes(_BODY, MODEL, VERSION),
)
async def predict_v1_with_version(request: Request) -> Response:
    """Classify with one version."""
    return await _answer(request)


@router.get("/{model}", operation_id="v1_model_status", responses=describe_errors(404))
async def show_status(model: str, services: ServicesDep) -> dict[str, Any]:
    """The versions of a model and their state."""
    versions = services.catalog.versions(model)
    return {
        "model_version_status": [_describe(version) for version in versions],
        # What KServe's clients look at.
        "name": model,
        "ready": any(version.state == "loaded" for version in versions),
    }


@router.get("/{model}/versions/{version:int}", operation_id="v1_version_status", responses=describe_errors(404, 422))
async def show_version_status(model: str, version: Annotated[int, Path(ge=1)], services: ServicesDep) -> dict[str, Any]:
    """The state of one version."""
    found = [known for known in services.catalog.versions(model) if known.number == version]
    if not found:
        services.catalog.resolve(model, version)  # raises and says which there are
    return {"model_version_status": [_describe(known) for known in found]}


async def _answer(request: Request) -> Response:
    model, options = request.path_params["model"], read_version(request)
    classified = await classify(request, model, options, parse_instances, is_json=True)
    return write_rows(classified.results, "outputs" if classified.posted.key == "inputs" else "predictions")


def _describe(version: Version) -> dict[str, Any]:
    ok = version.state == "loaded"
    return {
        "version": str(version.number),
        "state": _STATES[version.state],
        "status": {"error_code": "OK" if ok else "UNAVAILABLE", "error_message": "" if ok else version.reason},
    }
