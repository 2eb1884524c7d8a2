"""GET /metrics: everything that is counted, over all processes, as Prometheus reads it."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import PlainTextResponse

from app.http.services import ServicesDep
from app.observe.prometheus import render

router = APIRouter(tags=["health"])

_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@router.get(
    "/metrics",
    operation_id="get_metrics",
    response_class=PlainTextResponse,
    responses={200: {"content": {"text/plain": {"example": "convserve_ready 1\n"}}}},
)
async def show_metrics(services: ServicesDep) -> PlainTextResponse:
    """Counters, gauges and histograms in the Prometheus text format."""
    return PlainTextResponse(render(await services.control.snapshot()), media_type=_TYPE)
