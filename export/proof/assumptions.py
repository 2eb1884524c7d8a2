"""The assumptions on a foreign network: measured if labeled images support only the declared one, else declared."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import onnx

from artifact.card import Assumption
from artifact.figures.evaluation import Evaluation
from artifact.figures.interval import find_interval
from artifact.image_policy import Preprocessing
from export.errors import UsageError
from export.progress import say
from export.proof import runtime
from export.proof.alternatives import Alternative, try_orders, try_pixels, try_preprocessing
from export.proof.head import Reading
from export.proof.operations import scale_of_pixels
from export.proof.prove import ProvedGraph
from export.sources.source import Source

# How far another assumption must be ahead to be named, and to have the declared one refused: in standard deviations,
# and in its share of images.
NAMED = 1.96
REFUSED, REFUSED_GAIN = 3.0, 0.05
# Those whose being better refuses what is declared; a better resize or fit is named in the card.
REMEDIES = {
    "labels": "the labels are in another order than the outputs: give --labels in the order of the outputs",
    "preprocessing": "pass --preprocessing {}",
    "pixels": "the network was fed otherwise: put that into the network, or pass the --preprocessing that does it",
}
# What pixels span when a network has scaled them itself; and when they were scaled before it.
LEAST_RANGE, GREATEST_RANGE = 0.05, 600
GREATEST_SCALED_RANGE = 20


@dataclass(frozen=True)
class Judgment:
    """What the card says of the assumptions."""

    assumptions: tuple[Assumption, ...] = ()
    warnings: tuple[str, ...] = ()


def judge_assumptions(source: Source, proved: ProvedGraph, reading: Reading, evaluation: Evaluation | None) -> Judgment:
    """Compare the declared assumptions with others on labeled images.

    Raises UsageError where another order of the labels, or another arithmetic on pixels, is right far more often.
    """
    truth = source.images.samples.labels
    labels = source.provenance.labels
    warnings = [] if evaluation is None else _compare_with_guessing(source, evaluation)
    for warning in warnings:
        say(f"WARNING: {warning}")
    if source.provenance.training is not None:
        return Judgment((), tuple(warnings))
    tried: list[Alternative] = []
    if evaluation is not None and not source.fitted_random_weights:
        say("trying other assumptions than the declared ones on the labeled images")
        session = runtime.open_session(str(proved.file))
        tried += try_orders(proved.probabilities.argmax(axis=1), truth, labels)
        tried += try_pixels(source, session, proved.max_batch)
        tried += try_preprocessing(source, reading.head)
        _refuse_better([other for other in tried if other.what in REMEDIES])
    convincing = evaluation is not None and not warnings and not source.fitted_random_weights
    assumptions = tuple(_assume(source, reading, tried, convincing))
    for assumption in assumptions:
        if assumption.note:
            say(f"WARNING: {assumption.what} {assumption.value} is declared, but {assumption.note}")
    return Judgment(assumptions, tuple(warnings))


def refuse_doubled_scaling(network: onnx.ModelProto, preprocessing: Preprocessing) -> None:
    """Raise UsageError where the declared arithmetic and the network's own first operations don't fit together.

    Pixels that were scaled twice lie within a hundredth; those that a network for 0..1 gets as 0..255 reach far.
    """
    shift, by = float(np.mean(preprocessing.mean)), float(np.mean(preprocessing.std))
    low, high = -shift / by, (255 - shift) / by
    scaled = scale_of_pixels(network, low, high)
    if scaled is None or LEAST_RANGE <= abs(scaled[1] - scaled[0]) <= GREATEST_RANGE:
        return
    name = describe_arithmetic(preprocessing)
    raw = high - low > GREATEST_SCALED_RANGE
    if not raw and abs(scaled[1] - scaled[0]) < LEAST_RANGE:
        remedy = "the network scales pixels of 0..255 itself: pass --preprocessing none"
    elif raw and abs(scaled[1] - scaled[0]) > GREATEST_RANGE:
        remedy = "the network expects pixels that were scaled before: pass --preprocessing unit, tf or torch"
    else:
        return
    raise UsageError(
        f"the declared preprocessing ({name}) and the network's own first operations bring pixels of 0..255 to "
        f"{scaled[0]:.3g}..{scaled[1]:.3g}: {remedy}"
    )


def _compare_with_guessing(source: Source, evaluation: Evaluation) -> list[str]:
    labels = source.provenance.labels
    counts = np.bincount(source.images.samples.labels, minlength=len(labels))
    guess = float(counts.max() / counts.sum())
    low, high = find_interval(evaluation.top1, evaluation.images)
    if low > guess:
        return []
    why = "look again at --labels, --preprocessing and how the images were fed in training"
    if source.fitted_random_weights:
        why = "its weights are random"
    return [
        f"NO BETTER THAN GUESSING: {evaluation.top1:.2%} of {evaluation.images:,} images are right (95% interval "
        f"{low:.2%} to {high:.2%}), always saying {labels[int(counts.argmax())]} gets {guess:.2%}: {why}"
    ]


def _refuse_better(tried: Iterable[Alternative]) -> None:
    """Raise UsageError with the remedy for the best of those that are far ahead of what is declared."""
    better = [other for other in tried if other.score >= REFUSED and other.gain >= REFUSED_GAIN]
    if not better:
        return
    best = max(better, key=lambda other: other.right / other.images)  # the first of equal ones
    remedy = REMEDIES[best.what].format(best.value)
    raise UsageError(
        f"the {best.what}, as declared, can't be right: {best}: {remedy} (with --images in place of --dataset nothing "
        "is measured)"
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
        "decode": image.decode,
    }
    yield Assumption(what="head", value=reading.words, standing="measured" if by_values else "declared")
    for what, value in values.items():
        others = [other for other in tried if other.what == what]
        better = max((other for other in others if other.score > NAMED), key=lambda other: other.score, default=None)
        measured = convincing and bool(others) and all(other.score < -NAMED for other in others)
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
