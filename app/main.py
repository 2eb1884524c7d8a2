"""create_app: wires the parts of a whole one-process service. Its lifespan opens and closes them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI

from app.catalog import Catalog
from app.decoding import Decoder
from app.routes import explain, health, models, pages, predict, version_files
from app.routes.envelope import Envelope
from app.routes.problems import add_handlers
from app.routes.services import Services
from app.settings import Settings, count_cores, load_settings


def create_app(settings: Settings | None = None, catalog: Catalog | None = None) -> FastAPI:
    """The service as an ASGI app. Without settings they come from the environment (`uvicorn --factory`
    calls it so).

    Models load in the background once the app has started; /health/ready says when they serve.
    """
    settings = settings or load_settings()
    catalog = catalog or Catalog(settings)
    decoder = Decoder(settings.decode_threads or count_cores(), settings.limits)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        catalog.start()
        try:
            yield
        finally:
            await catalog.close()
            decoder.close()

    app = FastAPI(
        title="convserve",
        summary="Image classification with convolutional networks",
        version=version("convserve"),
        lifespan=lifespan,
        redoc_url=None,
    )
    app.state.services = Services(settings, catalog, decoder)
    app.add_middleware(Envelope)
    add_handlers(app)
    for router in (predict.router, explain.router, models.router, version_files.router, health.router, pages.router):
        app.include_router(router)
    app.mount("/web", pages.WebFiles(), name="web")
    return app
