"""GET /shadows, for anybody, as /models is: what shadows there are, and how each compares; PUT and DELETE, for holders
of an admin key: in all workers at once. They alone see the images that were kept, too: those are other people's.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Request
from pydantic import ValidationError
from starlette.responses import HTMLResponse, JSONResponse, Response

from app.admission.options import explain_invalid
from app.admission.services import Services
from app.admission.shadows.lowest_priority import LowestPriorityRows
from app.admission.shadows.pairs import find_models, write_version
from app.aliases import Shadow, list_targets, read_shadow, write_shadow
from app.catalog.catalog import Catalog
from app.errors import InvalidParameter, UnknownImage
from app.explain.explain import draw, explain
from app.http.auth import check_admin_key
from app.http.bodies.order import read_order
from app.http.disconnect import run_while_connected
from app.http.openapi import MANAGEMENT, describe_errors, describe_json
from app.http.pages.shadow import render_shadow
from app.http.pages.static import PAGE_HEADERS
from app.http.services import ServicesDep
from app.observe.comparison import Comparison
from artifact.errors import ConvserveError
from artifact.images.formats import FORMATS, find_format

router = APIRouter(prefix="/shadows")

Name = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", description="The name of a shadow.")]
_SHAPE = 'send {"of": "MODEL/3", "run": "MODEL/4", "share": 0.2, "keep_images": false}'
_BODY = describe_json(
    {
        "type": "object",
        "properties": {
            "of": {"type": "string", "description": "Whose answers are compared."},
            "run": {"type": "string", "description": "What is tried beside it."},
            "share": {"type": "number", "exclusiveMinimum": 0, "maximum": 1, "default": 1},
            "keep_images": {"type": "boolean", "default": False},
        },
        "required": ["of", "run"],
        "additionalProperties": False,
    },
    example={"of": "lenet5/3", "run": "lenet5/4", "share": 0.2},
)
_IMAGE_HEADERS = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
_COMPARED: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/json": {}, "text/html": {"schema": {"type": "string"}}}}
}
_CHANGES: dict[str, Any] = {"tags": [MANAGEMENT], "dependencies": [Depends(check_admin_key)]}


@router.get("", operation_id="list_shadows", tags=["models"])
async def list_shadows(services: ServicesDep) -> dict[str, Any]:
    """Every shadow: what it compares, and whether the settings or a request set it."""
    return {"shadows": [_describe(services.catalog, *shadow) for shadow in services.catalog.traffic.shadows.items()]}


@router.get(
    "/{name}",
    operation_id="get_shadow",
    tags=["models"],
    response_model=None,
    responses={**_COMPARED, **describe_errors(404, 422)},
)
async def show_shadow(name: Name, request: Request, services: ServicesDep) -> Response:
    """How a shadow compares with the model that answers: on how many images, how often they name the same class, how
    far their probabilities are apart, and the newest disagreements; the sums of all workers. A page for browsers
    (Accept: text/html), JSON for programs.
    """
    compared, traffic = await _compare(services, name), services.catalog.traffic
    if "text/html" not in request.headers.get("accept", ""):
        return JSONResponse(compared)
    of, run = compared["of"], compared["run"]
    aliases = [alias for alias, meaning in traffic.aliases.items() if of in list_targets(meaning)]
    withdrawn = {alias: found[run] for alias, found in traffic.withdrawals.items() if run in found}
    return HTMLResponse(render_shadow(compared, aliases, withdrawn, str(request.base_url)), headers=PAGE_HEADERS)


@router.put(
    "/{name}",
    operation_id="set_shadow",
    openapi_extra=_BODY,
    responses=describe_errors(400, 401, 403, 404, 408, 413, 415, 422, 503),
    **_CHANGES,
)
async def set_shadow(name: Name, request: Request, services: ServicesDep) -> dict[str, Any]:
    """Set a shadow, a model tried beside another, which overrides the settings until it is deleted. Models that aren't
    there or whose labels differ are refused; then nothing changed. `kept` says whether it outlives a restart (the
    setting state_file).
    """
    shadow = _read_shadow(await read_order(request, _SHAPE))
    find_models(services.catalog, name, shadow)
    kept = await services.control.set_shadow(name, shadow)
    return {**_describe(services.catalog, name, shadow), "kept": kept}


@router.delete(
    "/{name}", operation_id="delete_shadow", responses=describe_errors(401, 403, 404, 409, 422, 503), **_CHANGES
)
async def take_shadow_back(name: Name, services: ServicesDep) -> dict[str, Any]:
    """Delete a shadow that a request set: what the settings say holds again; `run` is null where they have no such
    shadow.
    """
    kept = await services.control.set_shadow(name, None)
    shadow = services.catalog.traffic.shadows.get(name)
    described = {"name": name, "run": None} if shadow is None else _describe(services.catalog, name, shadow)
    return {**described, "kept": kept}


@router.get(
    "/{name}/images/{disagreement}",
    operation_id="get_shadow_image",
    response_class=Response,
    responses={200: {"content": {"image/*": {}}}, **describe_errors(401, 403, 404, 422)},
    **_CHANGES,
)
async def show_image(name: Name, disagreement: str, services: ServicesDep) -> Response:
    """The image of one disagreement, as it was sent, while it is kept."""
    image = await _find_image(services, name, disagreement)
    format = find_format(image)
    media_type = FORMATS[format].media_type if format else "application/octet-stream"
    return Response(image, media_type=media_type, headers=_IMAGE_HEADERS)


@router.get(
    "/{name}/images/{disagreement}/{by}",
    operation_id="explain_shadow_image",
    response_class=Response,
    responses={200: {"content": {"image/png": {}}}, **describe_errors(401, 403, 404, 422, 429, 503, 504)},
    **_CHANGES,
)
async def show_evidence(
    name: Name, disagreement: str, by: Literal["of", "run"], request: Request, services: ServicesDep
) -> Response:
    """The same image with the evidence for what one of the two models says of it, as POST /explain/{model} draws it."""
    image = await _find_image(services, name, disagreement)
    shadow = services.catalog.traffic.find_shadow(name)
    model = find_models(services.catalog, name, shadow)[("of", "run").index(by)]
    rows = LowestPriorityRows(model, model.timeout_s)
    explanation = await run_while_connected(request, explain(rows, image, None, services.decoder))
    drawn = await services.decoder.call(lambda: draw(explanation))
    return Response(drawn, media_type="image/png", headers=_IMAGE_HEADERS)


async def _find_image(services: Services, name: str, disagreement: str) -> bytes:
    """Raises UnknownShadow or UnknownImage."""
    services.catalog.traffic.find_shadow(name)
    image = await services.control.find_image(name, disagreement)
    if image is None:
        raise UnknownImage(
            f"{name} keeps no image {disagreement[:40]!r}: only those of the newest disagreements are kept, and only "
            "with keep_images"
        )
    return image


def _describe(catalog: Catalog, name: str, shadow: Shadow) -> dict[str, Any]:
    described = {"name": name, **write_shadow(shadow)}
    described["set_by"] = "request" if name in catalog.traffic.put_shadows else "settings"
    try:
        find_models(catalog, name, shadow)
    except ConvserveError as error:
        described["reason"] = error.detail
    return described


async def _compare(services: Services, name: str) -> dict[str, Any]:
    """Raises UnknownShadow."""
    catalog, shadow = services.catalog, services.catalog.traffic.find_shadow(name)
    described = _describe(catalog, name, shadow)
    if "reason" in described:
        return described
    of, run = map(write_version, find_models(catalog, name, shadow))
    comparison = Comparison.read(await services.control.snapshot(), name, of, run)
    disagreements = await services.control.list_disagreements(name)
    return {**described, "compares": {"of": of, "run": run}, **comparison.describe(), "disagreements": disagreements}


def _read_shadow(order: dict[str, Any]) -> Shadow:
    """Raises InvalidParameter."""
    if missing := [name for name in ("of", "run") if name not in order]:
        raise InvalidParameter(f"`{missing[0]}` is missing: {_SHAPE}")
    try:
        return read_shadow(order)
    except ValidationError as error:
        first = error.errors()[0]
        raise InvalidParameter(explain_invalid({**first, "loc": first["loc"] or ("run",)})) from error
