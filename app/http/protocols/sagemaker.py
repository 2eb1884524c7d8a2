"""/ping and /invocations: the form of SageMaker's containers and of MLflow's scoring server. /ping is TorchServe's,
too.
"""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.admission.options import PredictOptions
from app.errors import Unavailable
from app.http.direct_route import DirectRoute, describe_options, takes
from app.http.openapi import describe_errors
from app.http.protocols.instances import ANY_BODY, ROWS_OR_CLASSES, answer_any
from app.http.services import ServicesDep

router = APIRouter(tags=["sagemaker"])
invocations = APIRouter(tags=["sagemaker"], route_class=DirectRoute)


@router.get("/ping", operation_id="sagemaker_ping", responses=describe_errors(503))
async def ping(services: ServicesDep) -> dict[str, str]:
    """As /health/ready."""
    if reason := await services.control.explain_unready():
        raise Unavailable(reason)
    return {"status": "Healthy"}


@invocations.post(
    "/invocations",
    operation_id="sagemaker_invoke",
    response_class=Response,
    responses=ROWS_OR_CLASSES,
    openapi_extra=takes(ANY_BODY, *describe_options(PredictOptions)),
)
async def invoke(request: Request) -> Response:
    """Classify with the model that the setting default_model names, or the only one there is."""
    return await answer_any(request, None)
