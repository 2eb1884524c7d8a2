"""Who may ask for what: dependencies that hand the Authorization header to app.admission.keys before a body is read."""

from __future__ import annotations

from fastapi import Depends, Request
from fastapi.security import HTTPBearer

from app.http.services import ServicesDep

# Said in /openapi.json; what it reads isn't used.
_BEARER = Depends(HTTPBearer(auto_error=False, description="A key of api_keys, or of admin_keys for management."))


async def check_predict_key(request: Request, services: ServicesDep, _: object = _BEARER) -> None:
    """Raises as Keys.check_predict does."""
    services.keys.check_predict(request.headers.get("authorization", ""))


async def check_admin_key(request: Request, services: ServicesDep, _: object = _BEARER) -> None:
    """Raises as Keys.check_admin does."""
    services.keys.check_admin(request.headers.get("authorization", ""))
