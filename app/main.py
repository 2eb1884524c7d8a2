"""create_app: wires the parts of a whole one-process service. Its lifespan opens and closes them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import Depends, FastAPI
from starlette.middleware.cors import CORSMiddleware

from app.admission.admission import Admission
from app.admission.feedback import Receipts, read_receipt_key
from app.admission.keys import Keys
from app.admission.services import Services
from app.catalog.catalog import Catalog
from app.catalog.control import Control, LocalControl
from app.catalog.mounted import find_repository
from app.http.api import aliases, embed, explain, feedback, health, metrics, models, predict, shadows, version_files
from app.http.auth import check_predict_key
from app.http.middleware import Envelope
from app.http.openapi import build_openapi, describe_errors
from app.http.pages import docs
from app.http.pages import static as pages
from app.http.problems import add_handlers
from app.http.protocols import (
    hugging_face,
    sagemaker,
    torchserve,
    v1,
    v2,
    v2_infer,
    v2_repository,
    v2_statistics,
    vertex,
)
from app.http.root_path import RootPath
from app.inference.decoder import Decoder
from app.machine import count_cores
from app.observe.access_log import Journal
from app.settings import Settings
from app.settings_sources import load_settings

_DESCRIPTION = """Encoded images in, classes out. Every error is `application/problem+json` and says what to do.

`POST /predict/{model}` is the service's own form; `/v2` is the Open Inference Protocol, which Triton's and
KServe's clients speak; `/v1` is TensorFlow Serving's form, `/predictions` TorchServe's, `/hf` Hugging Face's,
`/invocations` SageMaker's and MLflow's."""


def create_app(
    settings: Settings | None = None,
    catalog: Catalog | None = None,
    control: Control | None = None,
    rates_file: int | None = None,
) -> FastAPI:
    """The service as an ASGI app. Without settings they come from the environment (`uvicorn --factory`
    calls it so); without `control` it is a whole one-process service, otherwise one of several workers, which have one
    account of their clients' rates by `rates_file`. Raises ValueError where receipt_key can't be used.

    Models load in the background once the app has started; /health/ready says when they serve.
    """
    settings = settings or find_repository(load_settings())
    catalog = catalog or Catalog(settings)
    control = control or LocalControl(settings, catalog)
    decoder = Decoder(settings.decode_threads or count_cores(), settings.limits)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await control.start()
        try:
            yield
        finally:
            await control.close()
            await catalog.close()
            decoder.close()

    app = FastAPI(
        title="convserve",
        summary="Image classification with convolutional networks",
        description=_DESCRIPTION,
        version=version("convserve"),
        lifespan=lifespan,
        docs_url=None,  # FastAPI's own loads its scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
    )
    journal = Journal(catalog.metrics, settings.access_log)
    keys = Keys(settings, rates_file)
    admission = Admission(catalog, decoder, keys, Receipts(read_receipt_key(settings.receipt_key)))
    app.state.services = Services(settings, catalog, control, decoder, journal, admission, keys)
    if settings.cors_origins:
        exposed = ["Retry-After", "Server-Timing", "X-Request-ID", "Inference-Header-Content-Length"]
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "HEAD", "POST"],
            allow_headers=["*"],
            expose_headers=exposed,
        )
    app.add_middleware(Envelope, journal=journal)
    if settings.root_path:  # outermost, so that whatever looks at a path sees the whole one
        app.add_middleware(RootPath, root=settings.root_path)
    add_handlers(app)
    # Before all others, and without the routers that hold them: FastAPI looks through an included router, twice, at
    # every request that comes to it.
    others = (torchserve.router, hugging_face.router, sagemaker.invocations)
    own = (predict.router, embed.router)
    for direct in (vertex.make_router(settings), *own, v1.predictions, v2_infer.router, *others):
        app.router.routes.extend(direct.routes)
    app.include_router(explain.router, dependencies=[Depends(check_predict_key)])
    app.include_router(version_files.router, responses=describe_errors(404, 422, 503))
    ours = (models, aliases, shadows, feedback, health, metrics, docs, pages)
    for module in (*ours, v2_statistics, v2, v2_repository, v1, sagemaker):
        app.include_router(module.router)
    app.mount("/web", pages.WebFiles(), name="web")
    app.openapi = lambda: build_openapi(app, settings)  # type: ignore[method-assign]  # FastAPI's documented way
    return app
