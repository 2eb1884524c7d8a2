"""GET /models, /models/{model}, /models/{model}/card: what is loaded, loading or refused, and all about
one.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from app.admission.aliases import describe_alias
from app.admission.cascade import COUNTER
from app.aliases import Cascade
from app.catalog.catalog import Catalog
from app.catalog.loading import Version
from app.http.openapi import describe_errors
from app.http.pages.card import render_card
from app.http.pages.card_words import describe_cascades
from app.http.pages.models import render_models
from app.http.pages.static import PAGE_HEADERS
from app.http.services import ServicesDep
from app.observe.live_accuracy import measure_live_accuracy

router = APIRouter(tags=["models"])


_HTML: dict[str, Any] = {"text/html": {"schema": {"type": "string"}}}
_MODELS: dict[int | str, dict[str, Any]] = {200: {"content": _HTML}}
_CARD: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/json": {}, **_HTML}},
    **describe_errors(404, 422, 503),
}


@router.get("/models", operation_id="list_models", response_model=dict[str, Any], responses=_MODELS)
async def list_models(request: Request, services: ServicesDep) -> Response:
    """Every model with its versions and their state, with the reason where one was refused: a page for browsers
    (Accept: text/html), JSON for programs.
    """
    models = [_describe(services.catalog, name) for name in services.catalog.names()]
    aliases = {name: describe_alias(services.catalog, name, to) for name, to in services.catalog.aliases.items()}
    if _wants_page(request):
        return HTMLResponse(render_models(models, aliases), headers=PAGE_HEADERS)
    return JSONResponse({"models": models, "aliases": aliases})


@router.get("/models/{model}", operation_id="get_model", responses=describe_errors(404))
async def show_model(model: str, services: ServicesDep) -> dict[str, Any]:
    """One model: its versions and, for those loaded, the device, the measured times and the card; where labels came
    back with receipts, `live`: what they say.
    """
    described = _describe(services.catalog, model)
    snapshot = await services.control.snapshot() if services.admission.receipts.are_given else {}
    for entry, version in zip(described["versions"], services.catalog.versions(model), strict=True):
        if (loaded := version.model) is None:
            continue
        entry["card"] = loaded.card.model_dump(mode="json")
        if (live := measure_live_accuracy(snapshot, loaded.name, loaded.version)) is not None:
            entry["live"] = asdict(live)
    return described


@router.get("/models/{model}/card", operation_id="get_card", response_model=None, responses=_CARD)
async def show_card(
    model: str, request: Request, services: ServicesDep, version: Annotated[int | None, Query(ge=1)] = None
) -> Response:
    """The model card: a page for browsers (Accept: text/html), JSON for programs."""
    loaded = services.catalog.resolve(model, version)
    if _wants_page(request):
        cascades = services.catalog.traffic.cascades
        counts = cascades or services.admission.receipts.are_given
        snapshot = await services.control.snapshot() if counts else {}
        roles = describe_cascades(loaded.name, cascades, snapshot.get(COUNTER, {}))
        live = measure_live_accuracy(snapshot, loaded.name, loaded.version)
        page = await services.decoder.call(lambda: render_card(loaded, roles, live))
        return HTMLResponse(page, headers=PAGE_HEADERS)
    return JSONResponse(loaded.card.model_dump(mode="json"))


def _wants_page(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "")


def _describe(catalog: Catalog, name: str) -> dict[str, Any]:
    versions = catalog.versions(name)
    states = {version.state for version in versions} or {"refused"}
    state = next(state for state in ("loaded", "loading", "arriving", "refused", "unloaded") if state in states)
    described: dict[str, Any] = {
        "name": name,
        "state": state,
        "versions": [_describe_version(version) for version in versions],
    }
    if (target := catalog.traffic.several.get(name)) is not None:
        described["cascade" if isinstance(target, Cascade) else "split"] = describe_alias(catalog, name, target)
    if reason := catalog.refusal(name):
        described["reason"] = reason
    return described


def _describe_version(version: Version) -> dict[str, Any]:
    described: dict[str, Any] = {"version": version.number, "state": version.state}
    if version.reason:
        described["reason"] = version.reason
    if (model := version.model) is not None:
        card = model.card
        described |= {
            "device": model.device.name,
            "device_reason": model.device.reason,
            "network": card.network.name,
            "precision": card.precision,
            "input": {
                "height": card.image.height,
                "width": card.image.width,
                "channels": card.image.channels,
            },
            "classes": len(card.labels),
            "max_batch_size": model.max_batch_size,
            "batch_size": model.batcher.max_batch_size,
            "ms_of_batch": {str(rows): round(s * 1e3, 3) for rows, s in model.seconds_of_batch.items()},
            "golden_difference": model.replay_difference,
            "load_s": round(model.load_s, 3),
            "memory_bytes": model.memory_bytes,
        }
    return described
