"""Which classes an answer names: the most probable ones, and conformal label sets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from app.errors import InvalidParameter
from app.inference.model import LoadedModel
from app.inference.scores import TOP, Scores
from artifact.card import ModelCard


@dataclass(frozen=True, slots=True)
class Class:
    """One class of an answer."""

    label: str
    index: int
    probability: float


def check_top_k(model: LoadedModel, top_k: int | None) -> int:
    """How many classes to answer with: min(5, classes) unless asked.

    Raises InvalidParameter outside 1..classes.
    """
    classes = len(model.card.labels)
    if top_k is None:
        return min(TOP, classes)
    if not 1 <= top_k <= classes:
        raise InvalidParameter(
            f"top_k is {top_k}, {model.name} has {classes} classes: give a number from 1 to {classes}"
        )
    return top_k


def find_score(card: ModelCard, coverage: float) -> float:
    """The conformal score quantile for `coverage`. Raises InvalidParameter where the card can't give it."""
    quantiles = card.score_quantiles
    if quantiles is None:
        raise InvalidParameter(
            f"coverage is {coverage:g}, but {card.name} was exported without enough validation images: "
            "leave coverage out"
        )
    try:
        return quantiles.score_at(coverage)
    except ValueError as error:
        raise InvalidParameter(f"{error}: ask for less") from error


def top_classes(model: LoadedModel, scores: Scores, count: int) -> list[Class]:
    """The `count` most probable classes, best first; equal ones in label order."""
    labels = model.card.labels
    return [Class(labels[index], index, probability) for index, probability in rank(scores, count)]


def rank(scores: Scores, count: int) -> Sequence[tuple[int, float]]:
    """Index and probability of the `count` most probable classes, best first; equal ones in label order."""
    if count <= len(scores.top):
        return scores.top[:count]
    best = np.argsort(-scores.probabilities, kind="stable")[:count]
    return list(zip(best.tolist(), scores.probabilities[best].tolist(), strict=True))


def count_set(scores: Scores, score: float) -> int:
    """How many classes have probability >= 1 - score (Sadinle et al. 2019): the label set, always with the best one.

    An empty set would help nobody, and coverage is a lower bound.
    """
    return max(1, int(np.count_nonzero(scores.probabilities >= np.float32(1 - score))))
