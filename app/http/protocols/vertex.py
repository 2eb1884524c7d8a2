"""The routes that Vertex AI chooses for its containers: the settings health_route and predict_route."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.admission.options import PredictOptions
from app.http.direct_route import DirectRoute, describe_options, takes
from app.http.openapi import describe_errors
from app.http.protocols.instances import ANY_BODY, ROWS_OR_CLASSES, answer_any
from app.http.protocols.sagemaker import ping
from app.platforms import is_own_health_route
from app.settings import Settings


def make_router(settings: Settings) -> APIRouter:
    """A router for the addresses that are set and don't exist already; include it before all others."""
    router = APIRouter(tags=["vertex"])
    if settings.health_route and not is_own_health_route(settings.health_route):
        router.add_api_route(
            settings.health_route,
            ping,
            operation_id="vertex_health",
            methods=["GET"],
            responses=describe_errors(503),
        )
    if settings.predict_route:
        router.routes.append(
            DirectRoute(
                settings.predict_route,
                predict,
                operation_id="vertex_predict",
                methods=["POST"],
                tags=["vertex"],
                response_class=Response,
                responses=ROWS_OR_CLASSES,
                openapi_extra=takes(ANY_BODY, *describe_options(PredictOptions)),
            )
        )
    return router


async def predict(request: Request) -> Response:
    """Classify with the model that the setting default_model names, or the only one there is."""
    return await answer_any(request, None)
