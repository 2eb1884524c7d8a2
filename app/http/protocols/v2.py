"""GET /v2/...: what the Open Inference Protocol tells of the server and its models, to Triton's and KServe's
clients.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path

from app.admission import v2
from app.errors import Unavailable
from app.http.openapi import describe_errors
from app.http.services import ServicesDep

router = APIRouter(prefix="/v2", tags=["v2"])

_ERRORS = describe_errors(404, 422, 503)

Version = Annotated[int, Path(ge=1)]


@router.get("", operation_id="v2_server_metadata")
async def describe_server() -> dict[str, Any]:
    """The server's name, version and extensions."""
    return v2.describe_server()


@router.get("/health/live", operation_id="v2_server_live")
async def live() -> dict[str, bool]:
    """The process answers."""
    return {"live": True}


@router.get("/health/ready", operation_id="v2_server_ready", responses=describe_errors(503))
async def ready(services: ServicesDep) -> dict[str, bool]:
    """Every process is ready."""
    if reason := await services.control.explain_unready():
        raise Unavailable(reason)
    return {"ready": True}


@router.get("/models/{model}", operation_id="v2_model_metadata", responses=_ERRORS)
async def show_metadata(model: str, services: ServicesDep) -> dict[str, Any]:
    """Inputs and outputs of the newest version."""
    return v2.describe_model(services.catalog, model)


@router.get("/models/{model}/versions/{version}", operation_id="v2_version_metadata", responses=_ERRORS)
async def describe_version(model: str, version: Version, services: ServicesDep) -> dict[str, Any]:
    """Inputs and outputs of one version."""
    return v2.describe_model(services.catalog, model, version)


@router.get("/models/{model}/ready", operation_id="v2_model_ready", responses=_ERRORS)
async def model_ready(model: str, services: ServicesDep) -> dict[str, bool]:
    """Whether a model serves; an error with the reason otherwise."""
    services.admission.check(model)
    return {"ready": True}


@router.get("/models/{model}/versions/{version}/ready", operation_id="v2_version_ready", responses=_ERRORS)
async def version_ready(model: str, version: Version, services: ServicesDep) -> dict[str, bool]:
    """Answers 200 where the version serves, else an error with the reason."""
    services.catalog.resolve(model, version)
    return {"ready": True}


@router.get("/models/{model}/config", operation_id="v2_model_config", responses=_ERRORS)
async def show_config(model: str, services: ServicesDep) -> dict[str, Any]:
    """The model's configuration in Triton's terms."""
    return v2.configure_model(services.catalog.resolve(model))


@router.get("/models/{model}/versions/{version}/config", operation_id="v2_version_config", responses=_ERRORS)
async def configure_version(model: str, version: Version, services: ServicesDep) -> dict[str, Any]:
    """A version's configuration in Triton's terms."""
    return v2.configure_model(services.catalog.resolve(model, version))
