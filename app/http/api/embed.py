"""POST /embed/{model}: images in the forms of /predict, and what the network sees in them as vectors."""

from __future__ import annotations

from fastapi import APIRouter, Request
from pydantic import Field
from starlette.responses import Response

from app.admission.options import Options, PredictOptions, Terms, check_embeds
from app.http.api.predict import ERRORS, IMAGES
from app.http.auth import let_in
from app.http.bodies.images import read_images
from app.http.bodies.json import encode_json
from app.http.direct_route import MODEL, DirectRoute, describe_options, takes
from app.http.disconnect import run_while_connected
from app.http.schemas import EmbedAnswer
from app.http.server_timing import longest_timing, name_stages
from app.http.services import exchange_of
from app.inference.model import LoadedModel
from artifact.errors import ConvserveError

router = APIRouter(tags=["predict"], route_class=DirectRoute)


class EmbedOptions(Options):
    """The options of a request for embeddings."""

    version: int | None = Field(None, ge=1, description="Default: the newest.")
    timeout_ms: int | None = Field(None, ge=1, description="A deadline shorter than the server's.")

    def fit(self, model: LoadedModel) -> Terms:
        """The options of app.admission.options.Asked. Raises NotEmbeddable."""
        check_embeds(model.card)
        return PredictOptions(timeout_ms=self.timeout_ms).fit(model)


@router.post(
    "/embed/{model}",
    operation_id="embed",
    response_model=EmbedAnswer,
    responses=ERRORS,
    openapi_extra=takes(IMAGES, MODEL, *describe_options(EmbedOptions)),
)
async def embed(request: Request) -> Response:
    """What global pooling gives for each image: a vector to compare images by, within one version of a model."""
    services = let_in(request)
    options = EmbedOptions.read(dict(request.query_params))
    ticket = services.admission.admit(exchange_of(request), request.path_params["model"], options)
    given = await read_images(request, services.settings, ticket, options.names())
    ticket.ask(options.with_body(given.options))
    results = await run_while_connected(request, ticket.run(given.images, embeds=True))
    vectors = []
    for place, result in enumerate(results):
        if isinstance(result, ConvserveError):  # a list of vectors has no place for it
            result.detail = f"image {place}: {result.detail}"
            raise result
        assert result.scores.embedding is not None
        vectors.append(result.scores.embedding.tolist())
    body = {"model": ticket.model.name, "version": ticket.model.version, "embeddings": vectors}
    headers = {"Server-Timing": name_stages(longest_timing(results))}
    return Response(encode_json(body), media_type="application/json", headers=headers)
