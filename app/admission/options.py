"""What a request for predictions may ask for besides the images, and what that means for one model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.errors import InvalidParameter, NotEmbeddable
from app.inference.labels import check_top_k, find_score
from app.inference.model import LoadedModel
from artifact.card import ModelCard


class Terms(NamedTuple):
    """What a request asks for, fitted to a model."""

    top_k: int
    score: float | None
    """The conformal score of the label sets that are asked for; None without them."""
    timeout_s: float
    coverage: float | None = None
    """What `score` was found for."""
    receipt: bool = False
    """Whether each prediction gets a receipt."""


class Asked(Protocol):
    """What a request asks for besides the images, whatever form it came in."""

    @property
    def version(self) -> int | None:
        """None is the newest."""

    def fit(self, model: LoadedModel) -> Terms:
        """The terms on which `model` answers the request. Raises InvalidParameter for what the model can't give."""


class Options(BaseModel):
    """What an address may ask for, and the body besides the images. An unknown parameter is an error, so that a
    misspelled one isn't ignored.
    """

    model_config = ConfigDict(extra="forbid")

    @classmethod
    def names(cls) -> frozenset[str]:
        """The names of the options, as an address spells them."""
        return frozenset(field.alias or name for name, field in cls.model_fields.items())

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Self:
        """The options that are given by name. Raises InvalidParameter for a wrong one."""
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            raise InvalidParameter(explain_invalid(error.errors()[0])) from error

    def with_body(self, given: Mapping[str, Any]) -> Self:
        """These options, and those that the body gives by name. Raises InvalidParameter for a wrong one, and for one
        that the address gives another value.
        """
        if not given:
            return self
        said = self.read(given)
        for name in said.model_fields_set & self.model_fields_set:
            if (here := getattr(said, name)) != (there := getattr(self, name)):
                raise InvalidParameter(f"{name} is {there} in the address and {here} in the body: give it once")
        return self.model_copy(update={name: getattr(said, name) for name in said.model_fields_set})


def explain_invalid(error: Mapping[str, Any]) -> str:
    """One of pydantic's errors in words, naming the parameter and what was given."""
    where = ".".join(str(part) for part in error["loc"] if part not in ("query", "path", "body"))
    if error["type"] == "extra_forbidden":
        return f"unknown parameter {where[:40]!r}: /docs lists those of each address"
    said = error["msg"].removeprefix("Value error, ")
    return f"{where} is {str(error.get('input'))[:80]!r}: {said[0].lower()}{said[1:]}"


class PredictOptions(Options):
    """The options of a prediction."""

    version: int | None = Field(None, ge=1, description="Default: the newest.")
    top_k: int | None = Field(
        None, description="How many classes, 1 to all. Default: 5.", json_schema_extra={"minimum": 1}
    )
    coverage: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Also answer the set of labels that contains the true one at least this often.",
    )
    timeout_ms: int | None = Field(None, ge=1, description="A deadline shorter than the server's.")
    receipt: bool | None = Field(
        None, description="Also answer a receipt of each prediction, to give back with the true label (POST /feedback)."
    )

    def fit(self, model: LoadedModel) -> Terms:
        """Implements Asked.fit."""
        score = None if self.coverage is None else find_score(model.card, self.coverage)
        timeout_s = find_timeout(model, self.timeout_ms)
        return Terms(check_top_k(model, self.top_k), score, timeout_s, self.coverage, self._wants_receipt(model))

    def _wants_receipt(self, model: LoadedModel) -> bool:
        """Raises InvalidParameter where no one label can be the true one."""
        if self.receipt and model.card.multilabel:
            raise InvalidParameter(
                f"receipt is asked for, but several labels of {model.name} may be true of one image: feedback counts "
                "answers that one label settles, leave receipt out"
            )
        return bool(self.receipt)


def check_embeds(card: ModelCard) -> None:
    """Raises NotEmbeddable for a network without the pooling whose output an embedding is."""
    if not card.features:
        raise NotEmbeddable(
            f"{card.name} gives no embeddings: its network doesn't end in global average pooling and one dense layer; "
            "ask a model that does"
        )


def find_timeout(model: LoadedModel, timeout_ms: int | None) -> float:
    """Seconds that a request may take. Raises InvalidParameter where it asks for more than the server's own."""
    if timeout_ms is None:
        return model.timeout_s
    if timeout_ms > model.timeout_s * 1e3:
        raise InvalidParameter(
            f"timeout_ms is {timeout_ms}, the server's limit is {model.timeout_s * 1e3:.0f}: give that or less"
        )
    return timeout_ms / 1e3
