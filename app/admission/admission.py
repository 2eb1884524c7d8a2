"""The images of one request through the model, for every form in which they came."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

from starlette.requests import Request

from app.http.disconnect import run_while_connected
from app.http.services import Services
from app.inference.attempt import Prediction, Timing, predict
from app.inference.decoder import Encoded
from app.inference.model import LoadedModel
from artifact.errors import ConvserveError
from artifact.images.frame import Pixels


def choose_model(request: Request, services: Services, name: str | None, version: int | None) -> LoadedModel:
    """The model that a request means, noted for what is counted of the request.

    Called before the body is read, so that what can be refused is refused at once, and again after: the
    model may have been replaced while the body came in. Raises as `Catalog.resolve` does.
    """
    model = services.catalog.resolve(name, version)
    request.state.model = model
    return model


async def run_images(
    request: Request, services: Services, model: LoadedModel, images: Sequence[Encoded | Pixels], timeout_s: float
) -> list[Prediction | ConvserveError]:
    """Each image's prediction or its own error, in order; canceled where the client goes away.

    Raises what `Batcher.reserve` raises. Nothing may be awaited between choosing the model and this call.
    """
    with model.batcher.reserve(len(images), asyncio.get_running_loop().time() + timeout_s) as places:
        work = [predict(model, image, places, services.decoder) for image in images]
        return await run_while_connected(request, _gather(work))


def longest_timing(outcomes: Sequence[Prediction | ConvserveError]) -> Timing:
    """Of several images the longest each; one of them at least has succeeded."""
    timings = [outcome.timing for outcome in outcomes if isinstance(outcome, Prediction)]
    return Timing(
        max(timing.decode_ms for timing in timings),
        max(timing.queue_ms for timing in timings),
        max(timing.infer_ms for timing in timings),
        max(timing.batch_size for timing in timings),
    )


def name_stages(timing: Timing) -> str:
    """The Server-Timing header of a prediction, but for the total, which is known last."""
    return f"decode;dur={timing.decode_ms:.2f}, queue;dur={timing.queue_ms:.2f}, infer;dur={timing.infer_ms:.2f}"


async def _gather(work: Sequence[Coroutine[Any, Any, Prediction]]) -> list[Prediction | ConvserveError]:
    outcomes = await asyncio.gather(*work, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException) and not isinstance(outcome, ConvserveError):
            raise outcome  # not one of ours: it ends the request
    return outcomes  # type: ignore[return-value]
