"""What the routes need, in one typed place: `create_app` puts it there, a dependency hands it out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Request

from app.catalog.catalog import Catalog
from app.catalog.control import Control
from app.inference.decoder import Decoder
from app.observe.access_log import Journal
from app.settings import Settings


@dataclass(frozen=True)
class Services:
    settings: Settings
    catalog: Catalog
    control: Control
    decoder: Decoder
    journal: Journal


async def _services(request: Request) -> Services:  # async: FastAPI sends plain functions through a thread
    return cast(Services, request.app.state.services)


ServicesDep = Annotated[Services, Depends(_services)]
