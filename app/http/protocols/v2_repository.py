"""/v2/repository: what the repository holds, for anybody, as /models is; load and unload, the one management interface,
for holders of an admin key.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends, Request

from app.admission import v2
from app.errors import BadJson, InvalidParameter
from app.http.auth import check_admin_key
from app.http.bodies.order import read_order
from app.http.openapi import MANAGEMENT, describe_errors, describe_json
from app.http.services import ServicesDep

router = APIRouter(prefix="/v2/repository", tags=[MANAGEMENT])

_CHANGES: dict[str, Any] = {
    "dependencies": [Depends(check_admin_key)],
    "responses": describe_errors(400, 401, 403, 404, 408, 409, 413, 415, 422, 503),
}

_SHAPE = 'send {"parameters": {}}'


def _describe_body(properties: dict[str, Any], example: dict[str, Any]) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties}
    return describe_json(schema, required=False, example=example)


_INDEX = _describe_body({"ready": {"type": "boolean", "description": "Only what serves."}}, {"ready": True})
_CHANGE = _describe_body(
    {
        "parameters": {
            "type": "object",
            "properties": {"unload_dependents": {"type": "boolean"}},
            "additionalProperties": False,
            "description": "Nothing can be configured here.",
        }
    },
    {"parameters": {}},
)


@router.post(
    "/index",
    operation_id="v2_repository_index",
    openapi_extra=_INDEX,
    responses=describe_errors(400, 408, 413, 415, 422),
)
async def list_repository(request: Request, services: ServicesDep) -> list[dict[str, str]]:
    """Every model and version that was tried, with its state and the reason where it doesn't serve."""
    ready = (await read_order(request, _SHAPE)).get("ready", False)
    if not isinstance(ready, bool):
        raise InvalidParameter(f"ready is {str(ready)[:40]!r}: give true or false")
    return v2.list_repository(services.catalog, ready)


@router.post("/models/{model}/load", operation_id="v2_repository_model_load", openapi_extra=_CHANGE, **_CHANGES)
async def load(model: str, request: Request, services: ServicesDep) -> dict[str, str]:
    """Load, or load again, what the repository holds of a model now: loaded, warmed and replayed beside what
    serves, then swapped without a failed request. 409 with the reason where it can't be served; then nothing
    changed.
    """
    _refuse_parameters(await read_order(request, _SHAPE))
    await services.control.load(model)
    return {"name": model, "state": "READY"}


@router.post("/models/{model}/unload", operation_id="v2_repository_model_unload", openapi_extra=_CHANGE, **_CHANGES)
async def unload(model: str, request: Request, services: ServicesDep) -> dict[str, str]:
    """Take a model out of service; what was accepted is finished first."""
    _refuse_parameters(await read_order(request, _SHAPE))
    await services.control.unload(model)
    return {"name": model, "state": "UNAVAILABLE"}


def _refuse_parameters(asked: dict[str, Any]) -> None:
    parameters = asked.get("parameters", {})
    if not isinstance(parameters, dict):
        raise BadJson("parameters is not an object")
    if not isinstance(parameters.get("unload_dependents", False), bool):
        raise InvalidParameter("unload_dependents is not true or false")
    v2.refuse_parameters(parameters)
