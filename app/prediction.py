"""One image to one prediction: the function that every road (HTTP, protocols, command line) comes through."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from app.batching import Places
from app.decoding import Decoder, Encoded
from app.errors import DeadlineExceeded, InvalidParameter, RowFailed
from app.images import Pixels
from app.model import LoadedModel
from app.session import Scores
from app.tracing import trace_stages


@dataclass(frozen=True, slots=True)
class Class:
    """One class of an answer."""

    label: str
    index: int
    probability: float


@dataclass(frozen=True, slots=True)
class Timing:
    """What one image cost: milliseconds in each stage, rows in its batch."""

    decode_ms: float
    queue_ms: float
    infer_ms: float
    batch_size: int


@dataclass(frozen=True, slots=True)
class Prediction:
    scores: Scores
    timing: Timing


async def predict(
    model: LoadedModel, image: Encoded | Pixels, places: Places[Pixels, Scores], decoder: Decoder
) -> Prediction:
    """Decode one image and run it in one of the reserved `places`, before their deadline. An image that is
    pixels already, uint8 [height, width, channels] as the card has them, runs as it is.

    Raises what decoding and Places.run raise, RowFailed for probabilities that aren't finite,
    DeadlineExceeded.
    """
    start = time.perf_counter()
    try:
        async with asyncio.timeout_at(places.deadline):
            pixels = image if isinstance(image, np.ndarray) else await decoder.decode(image, model.card.image)
            decoded = time.perf_counter()
            result = await places.run(pixels)
    except TimeoutError as error:
        raise DeadlineExceeded(
            f"no answer within {(time.perf_counter() - start) * 1e3:,.0f} ms: the deadline (timeout_ms) passed"
        ) from error
    if not np.isfinite(result.output.probabilities).all():
        raise RowFailed("the network's probabilities for this image are not finite")
    model.meters.record_image(
        result.output.probabilities, result.output.energy, decoded - start, result.queue_s, result.infer_s
    )
    trace_stages(decoded - start, result.queue_s, result.infer_s)
    timing = Timing((decoded - start) * 1e3, result.queue_s * 1e3, result.infer_s * 1e3, result.batch_size)
    return Prediction(result.output, timing)


def check_top_k(model: LoadedModel, top_k: int | None) -> int:
    """How many classes to answer with: min(5, classes) unless asked.

    Raises InvalidParameter outside 1..classes.
    """
    classes = len(model.card.labels)
    if top_k is None:
        return min(5, classes)
    if not 1 <= top_k <= classes:
        raise InvalidParameter(
            f"top_k is {top_k}, {model.name} has {classes} classes: give a number from 1 to {classes}"
        )
    return top_k


def find_score(model: LoadedModel, coverage: float) -> float:
    """The conformal score quantile for `coverage`. Raises InvalidParameter where the card can't give it."""
    quantiles = model.card.score_quantiles
    if quantiles is None:
        raise InvalidParameter(
            f"coverage is {coverage:g}, but {model.name} was exported without validation images: leave coverage out"
        )
    try:
        return quantiles.score_at(coverage)
    except ValueError as error:
        raise InvalidParameter(f"{error}: ask for less") from error


def top_classes(model: LoadedModel, probabilities: npt.NDArray[np.float32], count: int) -> list[Class]:
    """The `count` most probable classes, best first; equal ones in label order."""
    order = np.argsort(-probabilities, kind="stable")[:count]
    return [_class(model, probabilities, int(index)) for index in order]


def label_set(model: LoadedModel, probabilities: npt.NDArray[np.float32], score: float) -> list[Class]:
    """Every class with probability >= 1 - score, best first (Sadinle et al. 2019), and always the best one.

    An empty set would help nobody, and coverage is a lower bound.
    """
    count = int(np.count_nonzero(probabilities >= np.float32(1 - score)))
    return top_classes(model, probabilities, max(count, 1))


def _class(model: LoadedModel, probabilities: npt.NDArray[np.float32], index: int) -> Class:
    # Seven digits are all that a float32 holds; more would only make the answer longer.
    return Class(model.card.labels[index], index, float(f"{probabilities[index]:.7g}"))
