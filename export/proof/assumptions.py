"""What is taken for granted of a foreign network: measured where classes are known, else declared."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from artifact.card import Assumption, Evaluation, Preprocessing
from export.errors import UsageError
from export.progress import say
from export.proof import runtime
from export.proof.alternatives import Alternative, try_orders, try_pixels, try_preprocessing
from export.proof.head import Reading
from export.proof.prove import Made
from export.sources.source import Source

# How far another assumption must be ahead to be named, and to have the declared one refused: in standard deviations,
# and in its share of images.
NAMED = 1.96
REFUSED, REFUSED_GAIN = 3.0, 0.05
Z_95 = 1.96


@dataclass(frozen=True)
class Judgment:
    """What the card says of the assumptions."""

    assumptions: tuple[Assumption, ...] = ()
    warnings: tuple[str, ...] = ()


def judge_assumptions(source: Source, made: Made, reading: Reading, evaluation: Evaluation | None) -> Judgment:
    """Hold the declared assumptions against others, as far as labeled images allow.

    Raises UsageError where another order of the labels, or another arithmetic on pixels, is right far more often.
    """
    truth = source.images.samples.labels
    labels = source.provenance.labels
    warnings = [] if evaluation is None else _compare_with_guessing(evaluation, truth.tolist(), labels)
    for warning in warnings:
        say(f"WARNING: {warning}")
    if source.provenance.training is not None:
        return Judgment((), tuple(warnings))
    tried: list[Alternative] = []
    if evaluation is not None and not source.fitted_random_weights:
        say("trying other assumptions than the declared ones on the labeled images")
        session = runtime.open_session(str(made.file))
        tried += try_orders(made.probabilities.argmax(axis=1), truth, labels)
        _refuse_better(tried)
        tried += try_preprocessing(source, reading.head)
        _refuse_better(tried)
        tried += try_pixels(source, session, made.max_batch)
        _refuse_better([other for other in tried if other.what == "pixels"])
    convincing = evaluation is not None and not warnings and not source.fitted_random_weights
    assumptions = tuple(_assume(source, reading, tried, convincing))
    for assumption in assumptions:
        if assumption.note:
            say(f"WARNING: {assumption.what} {assumption.value} is declared, but {assumption.note}")
    return Judgment(assumptions, tuple(warnings))


def interval(right: float, images: int) -> tuple[float, float]:
    """The 95 % interval of a share `right` of `images` (Wilson 1927)."""
    middle = (right + Z_95**2 / (2 * images)) / (1 + Z_95**2 / images)
    half = Z_95 / (1 + Z_95**2 / images) * (right * (1 - right) / images + Z_95**2 / (4 * images**2)) ** 0.5
    return middle - half, middle + half


def _compare_with_guessing(evaluation: Evaluation, truth: Sequence[int], labels: Sequence[str]) -> list[str]:
    counts = np.bincount(truth, minlength=len(labels))
    guess = float(counts.max() / counts.sum())
    low, high = interval(evaluation.top1, evaluation.images)
    if low > guess:
        return []
    return [
        f"NO BETTER THAN GUESSING: {evaluation.top1:.2%} of {evaluation.images:,} images are right (95% interval "
        f"{low:.2%} to {high:.2%}), always saying {labels[int(counts.argmax())]} gets {guess:.2%}: look again at "
        "--labels, --preprocessing and how the images were fed in training"
    ]


def _refuse_better(tried: Iterable[Alternative]) -> None:
    """Raise UsageError with the remedy for the best of those that are far ahead of what is declared."""
    better = [other for other in tried if other.score >= REFUSED and other.gain >= REFUSED_GAIN]
    if not better:
        return
    best = max(better, key=lambda other: other.right)
    remedy = {
        "labels": "the labels name the outputs in another order: give --labels in that one",
        "preprocessing": f"say --preprocessing {best.value}",
        "pixels": "the network was fed otherwise: put that into the network, or say the --preprocessing that does it",
    }.get(best.what, f"say --{best.what} {best.value}")
    raise UsageError(
        f"{best.what}, as declared, are contradicted by the labeled images: {best}: {remedy} "
        "(with --images in place of --dataset nothing is measured)"
    )


def _assume(source: Source, reading: Reading, tried: Sequence[Alternative], convincing: bool) -> Iterable[Assumption]:
    known = source.provenance
    image, by_values = known.image, source.head is None
    values = {
        "labels": f"{len(known.labels):,} names in the order of the outputs",
        "preprocessing": describe_arithmetic(known.preprocessing),
        "size": f"{image.height}x{image.width}",
        "resize": image.resize,
        "fit": image.fit,
    }
    if (decode := getattr(image, "decode", None)) is not None:
        values["decode"] = decode
    yield Assumption(what="head", value=reading.words, standing="measured" if by_values else "declared")
    for what, value in values.items():
        others = [other for other in tried if other.what == what]
        better = max((other for other in others if other.score > NAMED), key=lambda other: other.score, default=None)
        measured = convincing and bool(others) and better is None
        yield Assumption(
            what=what,
            value=value,
            standing="measured" if measured else "declared",
            note=str(better) if better is not None else "",
        )


def describe_arithmetic(preprocessing: Preprocessing) -> str:
    """The pixel arithmetic in words, with its channel order where it isn't RGB's."""
    if preprocessing.name != "custom":
        return preprocessing.name
    mean, std = (",".join(f"{number:.4g}" for number in numbers) for numbers in (preprocessing.mean, preprocessing.std))
    return f"mean {mean} std {std}"
