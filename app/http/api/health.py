"""Liveness and readiness, for orchestrators."""

from __future__ import annotations

from fastapi import APIRouter

from app.errors import Unavailable
from app.http.openapi import describe_errors
from app.http.services import ServicesDep

router = APIRouter(prefix="/health", tags=["health"])


@router.get("/live", operation_id="health_live")
async def live() -> dict[str, str]:
    """The process answers."""
    return {"status": "live"}


@router.get("/ready", operation_id="health_ready", responses=describe_errors(503))
async def ready(services: ServicesDep) -> dict[str, str]:
    """Every model was tried, those required are loaded, and at least one serves; 503 with the reason
    otherwise.
    """
    if reason := await services.control.explain_unready():
        raise Unavailable(reason)
    return {"status": "ready"}
