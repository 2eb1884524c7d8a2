"""GET /aliases, for anybody, as /models is; PUT and DELETE, for holders of an admin key: in all workers at once."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request
from pydantic import ValidationError

from app.admission.aliases import describe_alias
from app.admission.options import explain_invalid
from app.aliases import Meaning, read_target
from app.catalog.catalog import Catalog
from app.errors import InvalidParameter
from app.http.auth import check_admin_key
from app.http.bodies.order import read_order
from app.http.openapi import MANAGEMENT, describe_errors, describe_json
from app.http.services import ServicesDep

router = APIRouter(prefix="/aliases")

Name = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", description="The name of an alias.")]
_SHAPE = 'send {"to": "MODEL/VERSION"}, or weights, {"to": {"MODEL/3": 90, "MODEL/4": 10}, "sticky": "X-User"}'
_TARGET = {"type": "string", "example": "lenet5/3"}
_WEIGHTS = {
    "type": "object",
    "additionalProperties": {"type": "number", "minimum": 0},
    "minProperties": 1,
    "example": {"lenet5/3": 90, "lenet5/4": 10},
}
_CASCADE = {
    "type": "object",
    "properties": {
        **{name: {"type": "string"} for name in ("first", "then", "when")},
        "coverage": {"type": "number"},
    },
    "required": ["first", "then", "when"],
    "additionalProperties": False,
}
_GUARD = {
    "type": "object",
    "description": "Of weights: bounds that every model but the first must keep, or its weight becomes 0.",
    "properties": {
        "max_error_rate": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
        "max_p99_ratio": {"type": "number", "minimum": 1},
        "max_disagreement": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
        "min_requests": {"type": "integer", "minimum": 1, "default": 100},
    },
    "minProperties": 1,
    "additionalProperties": False,
}
_BODY = describe_json(
    {
        "type": "object",
        "properties": {
            "to": {"anyOf": [_TARGET, _WEIGHTS, _CASCADE]},
            "sticky": {"type": "string", "description": "A header, of weights."},
            "guard": _GUARD,
        },
        "required": ["to"],
        "additionalProperties": False,
    },
    example={"to": {"lenet5/3": 90, "lenet5/4": 10}, "sticky": "X-User"},
)
_CHANGES: dict[str, Any] = {"tags": [MANAGEMENT], "dependencies": [Depends(check_admin_key)]}


@router.get("", operation_id="list_aliases", tags=["models"])
async def list_aliases(services: ServicesDep) -> dict[str, Any]:
    """Every alias: what it means, and whether the settings or a request set it."""
    return {"aliases": [_describe(services.catalog, *alias) for alias in services.catalog.aliases.items()]}


@router.get("/{name}", operation_id="get_alias", tags=["models"], responses=describe_errors(404, 422))
async def show_alias(name: Name, services: ServicesDep) -> dict[str, Any]:
    """One alias: what it means, and whether the settings or a request set it."""
    services.catalog.traffic.check_known(name)
    return _describe(services.catalog, name, services.catalog.aliases[name])


@router.put(
    "/{name}",
    operation_id="set_alias",
    openapi_extra=_BODY,
    responses=describe_errors(400, 401, 403, 404, 408, 413, 415, 422, 503),
    **_CHANGES,
)
async def set_alias(name: Name, request: Request, services: ServicesDep) -> dict[str, Any]:
    """Set an alias, which overrides the settings until it is deleted. A meaning that predictions would be refused with
    is refused here; then nothing changed. `kept` says whether it outlives a restart (the setting state_file).
    """
    target = _read_target(await read_order(request, _SHAPE))
    services.admission.check_alias(name, target)
    kept = await services.control.set_alias(name, target)
    return {**_describe(services.catalog, name, target), "kept": kept}


@router.delete(
    "/{name}", operation_id="delete_alias", responses=describe_errors(401, 403, 404, 409, 422, 503), **_CHANGES
)
async def take_alias_back(name: Name, services: ServicesDep) -> dict[str, Any]:
    """Delete an alias that a request set: the settings' meaning holds again; `to` is null where they have none."""
    kept = await services.control.set_alias(name, None)
    target = services.catalog.aliases.get(name)
    described = {"name": name, "to": None} if target is None else _describe(services.catalog, name, target)
    return {**described, "kept": kept}


def _describe(catalog: Catalog, name: str, target: Meaning) -> dict[str, Any]:
    described = describe_alias(catalog, name, target)
    meaning = described if isinstance(described, dict) and "to" in described else {"to": described}
    said = {"name": name, **meaning, "set_by": "request" if name in catalog.traffic.put_aliases else "settings"}
    if withdrawn := catalog.traffic.withdrawals.get(name):
        said["withdrawn"] = withdrawn
    return said


def _read_target(order: dict[str, Any]) -> Meaning:
    """Raises InvalidParameter."""
    if "to" not in order:
        raise InvalidParameter(f"`to` is missing: {_SHAPE}")
    if isinstance(order["to"], int | float):  # which settings take for the weight of a model called `to`
        raise InvalidParameter(f"to is {order['to']}: {_SHAPE}")
    try:
        return read_target(order)
    except ValidationError as error:
        first = error.errors()[0]
        where = [part for part in first["loc"][1:] if part != "[key]"] or ["to"]  # behind the kind of meaning
        raise InvalidParameter(explain_invalid({**first, "loc": where})) from error
