"""What the routes need, in one typed place: `create_app` puts it there, a dependency hands it out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Request

from app.admission.admission import Admission
from app.admission.keys import Keys
from app.catalog.catalog import Catalog
from app.catalog.control import Control
from app.inference.decoder import Decoder
from app.observe.access_log import Exchange, Journal
from app.settings import Settings


@dataclass(frozen=True)
class Services:
    settings: Settings
    catalog: Catalog
    control: Control
    decoder: Decoder
    journal: Journal
    admission: Admission
    keys: Keys


def services_of(request: Request) -> Services:
    """Those of the app that the request came to."""
    return cast(Services, request.app.state.services)


async def _services(request: Request) -> Services:  # async: FastAPI sends plain functions through a thread
    return services_of(request)


ServicesDep = Annotated[Services, Depends(_services)]


def exchange_of(request: Request) -> Exchange:
    """What is kept of a request; the middleware has put it there."""
    return cast(Exchange, request.state.exchange)
