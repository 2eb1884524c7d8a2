"""The bodies of the service's answers, for OpenAPI; a test compares them with real answers."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ClassAnswer(Answer):
    label: str
    index: int = Field(description="Place of the label in the model's list of labels.")
    probability: float = Field(ge=0, le=1)


class ErrorAnswer(Answer):
    """What went wrong with one image of several."""

    status: int
    code: str
    detail: str


class PredictionAnswer(Answer):
    """What is answered of one image: its classes or, where it failed among others, its error."""

    model: str | None = Field(None, description="Of a cascade: which of its two models answered.")
    version: int | None = Field(None, description="Of a cascade: that model's version.")
    second: Literal["skipped"] | None = Field(
        None,
        description="Of a cascade: the second model had no place or time for the image, so this is the first's answer.",
    )
    classes: list[ClassAnswer] | None = Field(None, description="The top_k most probable classes, best first.")
    set: list[ClassAnswer] | None = Field(
        None, description="With coverage: classes that together contain the true one at least that often."
    )
    receipt: str | None = Field(
        None, description="With receipt: what POST /feedback takes with the true label. It contains `set`, too."
    )
    warning: str | None = Field(None, description="Only where the image looks unlike the training set (energy).")
    error: ErrorAnswer | None = None


class TimingAnswer(Answer):
    """How long each stage took; of several images the longest time in each."""

    decode_ms: float
    queue_ms: float
    infer_ms: float
    batch_size: int = Field(description="Rows in the batch, those of other requests included.")


class PredictAnswer(Answer):
    model: str = Field(description="The model that the address means; of a cascade the first.")
    version: int
    predictions: list[PredictionAnswer] = Field(description="One an image, in the order sent.")
    timing: TimingAnswer


class EmbedAnswer(Answer):
    model: str
    version: int = Field(description="Vectors of one version can be compared with each other.")
    embeddings: list[list[float]] = Field(description="One an image, in the order sent: a number for each channel.")


class ToldAnswer(Answer):
    """What is answered to one receipt: what was counted for which version or, where it was refused among others, its
    error.
    """

    model: str | None = None
    version: int | None = None
    right: bool | None = Field(None, description="Whether the most probable class was the true one.")
    in_set: bool | None = Field(None, description="Whether the label set held the true label, where there was one.")
    error: ErrorAnswer | None = None


class FeedbackAnswer(Answer):
    feedback: list[ToldAnswer] = Field(description="One a receipt, in the order sent.")


class RectangleAnswer(Answer):
    """The part of the posted image (EXIF orientation applied) that the network saw, in shares of width and height."""

    left: float
    top: float
    right: float
    bottom: float


class ExplainAnswer(Answer):
    model: str
    version: int
    method: str = Field(description="class activation map, or occlusion sensitivity")
    explained: ClassAnswer = Field(alias="class")
    rectangle: RectangleAnswer
    map: list[list[float]] = Field(description="Rows over the rectangle: 0 is no evidence, 1 the strongest.")


class Problem(Answer):
    """RFC 9457, with the key `error` that clients of the Open Inference Protocol read."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    error: str
    code: str
    request_id: str
