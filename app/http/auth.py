"""Checks the Authorization header by app.admission.keys, before a body is read."""

from __future__ import annotations

from fastapi import Depends, Request
from fastapi.security import HTTPBearer

from app.admission.services import Services
from app.http.services import ServicesDep, exchange_of, services_of

# Said in /openapi.json; what it reads isn't used.
_BEARER = Depends(
    HTTPBearer(auto_error=False, description="A key that may predict, or one that may manage for management.")
)


def let_in(request: Request) -> Services:
    """The services, for a direct route, where the request may predict. Raises as Keys.check_predict does."""
    services = services_of(request)
    exchange_of(request).key = services.keys.check_predict(request.headers.get("authorization", ""))
    return services


async def check_predict_key(request: Request, _: object = _BEARER) -> None:
    """The same as a dependency, for every other route."""
    let_in(request)


async def check_admin_key(request: Request, services: ServicesDep, _: object = _BEARER) -> None:
    """Raises as Keys.check_admin does."""
    services.keys.check_admin(request.headers.get("authorization", ""))
