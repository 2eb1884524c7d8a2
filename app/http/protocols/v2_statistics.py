"""GET /v2/models/.../stats: Triton's statistics, from the same counters as /metrics."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path

from app.admission.v2 import count_statistics, find_models
from app.http.openapi import describe_errors
from app.http.services import ServicesDep

router = APIRouter(prefix="/v2/models", tags=["v2"])

_ERRORS = describe_errors(404, 422, 503)


@router.get("/stats", operation_id="v2_statistics")
async def show_statistics(services: ServicesDep) -> dict[str, Any]:
    """Statistics of every version that serves."""
    return count_statistics(find_models(services.catalog), await services.control.snapshot())


@router.get("/{model}/stats", operation_id="v2_model_statistics", responses=_ERRORS)
async def show_model_statistics(model: str, services: ServicesDep) -> dict[str, Any]:
    """Statistics of the versions of one model."""
    return count_statistics(find_models(services.catalog, model), await services.control.snapshot())


@router.get("/{model}/versions/{version}/stats", operation_id="v2_version_statistics", responses=_ERRORS)
async def show_version_statistics(
    model: str, version: Annotated[int, Path(ge=1)], services: ServicesDep
) -> dict[str, Any]:
    """Statistics of one version."""
    return count_statistics(find_models(services.catalog, model, version), await services.control.snapshot())
