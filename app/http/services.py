"""FastAPI dependencies that give routes the app's services and the request's record."""

from __future__ import annotations

from typing import Annotated, cast

from fastapi import Depends, Request

from app.admission.services import Services
from app.observe.access_log import Exchange


def services_of(request: Request) -> Services:
    """The services of the request's app."""
    return cast(Services, request.app.state.services)


async def _services(request: Request) -> Services:  # async: FastAPI sends plain functions through a thread
    return services_of(request)


ServicesDep = Annotated[Services, Depends(_services)]


def exchange_of(request: Request) -> Exchange:
    """The request's record, which the middleware created."""
    return cast(Exchange, request.state.exchange)
