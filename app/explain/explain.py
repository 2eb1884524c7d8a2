"""Where a network found the evidence for a class: a map over the part of the image that it saw.

Networks with global pooling need one forward pass (class activation maps), all others one for each part that is covered
(app.explain.occlusion). The map comes with its place in the posted image, so that it can be laid over it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Literal, NamedTuple

from PIL import Image

from app.errors import DeadlineExceeded, InvalidParameter, RowFailed
from app.explain.evidence import EvidenceMap, map_activation
from app.explain.occlusion import Rows, map_occlusion
from app.explain.overlay import draw_evidence, encode_png, fit_for_display
from app.inference.decoder import Decoder, Encoded, to_bytes
from app.inference.model import LoadedModel
from app.inference.scores import Scores
from app.inference.session import Observed
from artifact.image_policy import ImagePolicy
from artifact.images.decode import open_image
from artifact.images.fit import fit_image
from artifact.images.frame import Pixels
from artifact.images.limits import Limits

Method = Literal["class activation map", "occlusion sensitivity"]


class Rectangle(NamedTuple):
    """The part of the posted image that the network saw, as fractions of its width and height.

    Below 0 or above 1 where the frame around the ink reaches past the image's edges.
    """

    left: float
    top: float
    right: float
    bottom: float


class Seen(NamedTuple):
    """One image, as the network sees it and as a person does."""

    pixels: Pixels
    """uint8 [height, width, channels], what the network gets."""
    rectangle: Rectangle
    shown: Image.Image
    """RGB, EXIF orientation applied, small enough to draw on."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """The evidence for one class in one image."""

    method: Method
    index: int
    """Of the class that is explained."""
    probability: float
    """Of that class, for the whole image."""
    map: EvidenceMap
    seen: Seen


async def explain(rows: Rows, image: Encoded, index: int | None, decoder: Decoder) -> Explanation:
    """The evidence for class `index` (the most probable one by default), before the deadline of `rows`.

    Raises what decoding, Batcher.reserve and Places.run raise; NotExplainable where the deadline is too short
    for a slow network, DeadlineExceeded where it passed.
    """
    try:
        async with asyncio.timeout_at(rows.deadline):
            return await _explain(rows, image, index, decoder)
    except TimeoutError as error:
        raise DeadlineExceeded("the deadline (timeout_ms) passed before the explanation was computed") from error


async def _explain(rows: Rows, image: Encoded, index: int | None, decoder: Decoder) -> Explanation:
    model = rows.model
    with rows.reserve(1) as places:
        seen = await decoder.call(lambda: see(image, model.card.image, decoder.limits))
        pooled = model.classifier is not None
        result = await places.run(seen.pixels.view(Observed) if pooled else seen.pixels)
    scores = result.output
    if not scores.is_finite:
        raise RowFailed("the network's probabilities for this image are not finite")
    chosen = int(scores.probabilities.argmax()) if index is None else index
    method: Method = "class activation map" if pooled else "occlusion sensitivity"
    evidence = await _map_evidence(rows, seen.pixels, scores, chosen)
    return Explanation(method, chosen, float(scores.probabilities[chosen]), evidence, seen)


async def _map_evidence(rows: Rows, pixels: Pixels, scores: Scores, index: int) -> EvidenceMap:
    model = rows.model
    if model.classifier is not None and scores.features is not None:
        return map_activation(scores.features, model.classifier, index)
    return await map_occlusion(rows, pixels, index, float(scores.probabilities[index]))


def draw(explanation: Explanation) -> bytes:
    """A PNG of the posted image with the evidence over it."""
    seen = explanation.seen
    return encode_png(draw_evidence(seen.shown, explanation.map, seen.rectangle))


def see(image: Encoded, policy: ImagePolicy, limits: Limits) -> Seen:
    """Decode one image for the network and for people. Raises what decoding raises."""
    opened = open_image(to_bytes(image, limits), limits, policy)
    pixels, frame = fit_image(opened, policy)
    width, height = opened.width, opened.height
    rectangle = Rectangle(frame.left / width, frame.top / height, frame.right / width, frame.bottom / height)
    return Seen(pixels, rectangle, fit_for_display(opened.image))


def check_class(model: LoadedModel, index: int | None) -> None:
    """Raises InvalidParameter for a class that the model doesn't have."""
    classes = len(model.card.labels)
    if index is not None and not 0 <= index < classes:
        raise InvalidParameter(f"class is {index}, {model.name} has the classes 0 to {classes - 1}")
