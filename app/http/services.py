"""How routes come by what they need: dependencies of FastAPI's."""

from __future__ import annotations

from typing import Annotated, cast

from fastapi import Depends, Request

from app.admission.services import Services
from app.observe.access_log import Exchange


def services_of(request: Request) -> Services:
    """Those of the app that the request came to."""
    return cast(Services, request.app.state.services)


async def _services(request: Request) -> Services:  # async: FastAPI sends plain functions through a thread
    return services_of(request)


ServicesDep = Annotated[Services, Depends(_services)]


def exchange_of(request: Request) -> Exchange:
    """What is kept of a request; the middleware has put it there."""
    return cast(Exchange, request.state.exchange)
