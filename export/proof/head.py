"""The head: what a network's outputs are, judged by the values that the user's own model gives.

The graph's last operations only confirm that. The proof can't find a wrong head, which would be on both of its sides,
so nothing is guessed: if the values don't decide, or contradict the operations, the network is refused with both facts
and the options that decide.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

import numpy as np

from artifact.card import Head
from export.errors import ProofError, UsageError
from export.proof.operations import PRODUCTS, Operations
from export.report.calibration import Floats

# Rows of a float32 softmax sum to 1 within this.
SUM_TOLERANCE = 1e-3
# Rounded outputs sum to 1 within classes x their step; beyond this only a Softmax in the graph tells them from tags.
CLEAR_TOLERANCE = 0.05
# Outputs of coarser steps are no rounded probabilities.
COARSEST_STEP = 1 / 64
FLOAT16_STEP = 2.0**-11
SLACK = 1e-6


@dataclass(frozen=True)
class Reading:
    """How a network's outputs become probabilities."""

    head: Head
    words: str
    """For people: `one sigmoid: P(dog), the second label; cat has the rest`."""


@dataclass(frozen=True)
class Values:
    """Statistics of the outputs [n, k] over all images; all values are finite."""

    width: int
    low: float
    high: float
    least_sum: float
    greatest_sum: float
    step: float
    """The step that all outputs are multiples of if they are rounded (quantized or float16); else 0."""
    log_sum: float
    """Largest |log-sum-exp| of a row: 0 for log-probabilities."""

    @property
    def within_0_and_1(self) -> bool:
        return self.low >= -SLACK and self.high <= 1 + SLACK

    @property
    def sum_error(self) -> float:
        return max(abs(self.least_sum - 1), abs(self.greatest_sum - 1))

    @property
    def always_1(self) -> bool:
        return self.width == 1 and self.low >= 1 - SLACK and self.high <= 1 + SLACK

    def __str__(self) -> str:
        shown = f"between {self.low:.3g} and {self.high:.3g}"
        if self.width == 1:
            return f"one output {shown}"
        return f"{self.width:,} outputs {shown}, rows summing to {self.least_sum:.4g} to {self.greatest_sum:.4g}"


def measure(outputs: Floats) -> Values:
    """The statistics of outputs [n, k]. Raises ProofError if a value isn't finite."""
    values = np.asarray(outputs, np.float64)
    finite = np.isfinite(values)
    if not finite.all():
        raise ProofError(
            f"the network's answer is not finite (NaN or infinity) at {np.count_nonzero(~finite):,} of {values.size:,} "
            "values: its weights are damaged, or its training diverged; convert another file of it"
        )
    sums = values.sum(axis=1)
    greatest = values.max(axis=1, keepdims=True)
    log_sums = np.log(np.exp(values - greatest).sum(axis=1)) + greatest[:, 0]
    return Values(
        width=values.shape[1],
        low=float(values.min()),
        high=float(values.max()),
        least_sum=float(sums.min()),
        greatest_sum=float(sums.max()),
        step=_find_step(values),
        log_sum=float(np.abs(log_sums).max()),
    )


def judge_head(values: Values, operations: Operations, said: Head | None, labels: Sequence[str]) -> Reading:
    """What the outputs are. `said` is --head; it decides what the values leave open.

    Raises UsageError where nothing can be decided, or where the values contradict `said`.
    """
    if said is not None:
        _refuse_contradiction(values, operations, said)
        return Reading(said, _describe(said, values, labels))
    head = _read(values, operations)
    return Reading(head, _describe(head, values, labels))


def _read(values: Values, operations: Operations) -> Head:
    if values.width == 1 and values.within_0_and_1:
        return _read_one(values, operations)
    if values.within_0_and_1:
        return _read_several(values, operations)
    low, high = operations.bounds
    if values.log_sum < SUM_TOLERANCE or operations.closing == "LogSoftmax":
        return "logits"  # log-probabilities, of which softmax makes the probabilities again
    if low >= 0 or high <= 0 or (low >= -1 and high <= 1):
        _refuse(values, operations, f"logits reach from below 0 to above 1 freely, these keep to {low:g}..{high:g}")
    if values.width > 1 and values.low >= 0 and values.greatest_sum - values.least_sum < SUM_TOLERANCE * values.high:
        _refuse(values, operations, "rows that always have the same sum are not logits")
    return "logits"


def _read_one(values: Values, operations: Operations) -> Head:
    if values.always_1:
        raise UsageError(
            "the network gives one output that is 1 for every image (a softmax over one class "
            "is): it can't tell classes "
            "apart; a network for two classes ends in one sigmoid or in two outputs"
        )
    if not operations.within_0_and_1:
        _refuse(values, operations, "it may be a probability, or a logit that happens to stay in 0..1")
    return "sigmoid"


def _read_several(values: Values, operations: Operations) -> Head:
    rounding = values.width * values.step
    if values.sum_error <= max(SUM_TOLERANCE, min(rounding, CLEAR_TOLERANCE)):
        if operations.closing in ("Sigmoid", "HardSigmoid", *PRODUCTS):
            _refuse(values, operations, "values that sum to 1 are probabilities, this operation gives tags or logits")
        return "softmax"
    if values.sum_error <= rounding and operations.closing not in ("Sigmoid", "HardSigmoid"):
        if operations.closing != "Softmax":
            _refuse(values, operations, f"with steps of {values.step:.2g} both rounded probabilities and tags fit")
        return "softmax"
    if operations.closing == "Softmax":
        _refuse(values, operations, "what a softmax over the classes gives sums to 1")
    if not operations.within_0_and_1:
        _refuse(values, operations, "they may be tags, or logits that happen to stay in 0..1")
    return "multilabel"


def _refuse(values: Values, operations: Operations, doubt: str) -> NoReturn:
    last = "" if operations.closing == "none" else f"; the last operation is {operations.closing}"
    raise UsageError(
        f"what the network's outputs are can't be decided: {values}{last}: {doubt}. Pass one of --head "
        f"{' or --head '.join(possible_heads(values, operations))}"
    )


def possible_heads(values: Values, operations: Operations) -> list[Head]:
    """The heads that the values don't contradict: --head may name one of these."""
    fits: list[Head] = []
    for head in ("softmax", "sigmoid", "multilabel", "logits"):
        try:
            _refuse_contradiction(values, operations, head)
        except UsageError:
            continue
        fits.append(head)
    return fits or ["logits"]


def _refuse_contradiction(values: Values, operations: Operations, said: Head) -> None:
    if (reason := _contradiction(values, operations, said)) is None:
        return
    others: list[Head] = [head for head in ("softmax", "sigmoid", "multilabel", "logits") if head != said]
    fits = [head for head in others if _contradiction(values, operations, head) is None]
    advice = f"use --head {' or --head '.join(fits)}" if fits else "no head fits them"
    raise UsageError(f"--head {said}: {reason} ({values}): {advice}")


def _contradiction(values: Values, operations: Operations, said: Head) -> str | None:
    """Why outputs of these values can't be what `said` says; None where they can."""
    several = values.width > 1
    sums_to_1 = several and values.within_0_and_1 and values.sum_error <= max(SUM_TOLERANCE, values.width * values.step)
    clearly = sums_to_1 and values.sum_error <= max(SUM_TOLERANCE, min(values.width * values.step, CLEAR_TOLERANCE))
    match said:
        case "softmax":
            return None if sums_to_1 else "the outputs aren't probabilities that sum to 1"
        case "sigmoid":
            if several:
                return "a sigmoid head is one output"
            if values.always_1:
                return "the output is 1 for every image"
            return None if values.within_0_and_1 else "the outputs are not within 0..1"
        case "multilabel":
            if not several:
                return "tags are several outputs"
            if not values.within_0_and_1:
                return "the outputs are not within 0..1"
            return "a Softmax gives one class an image" if clearly and operations.closing == "Softmax" else None
        case "logits":
            if clearly:
                return "the outputs are probabilities already, a second softmax would change them"
            if operations.within_0_and_1:
                return f"the network ends in {operations.closing}, which keeps its outputs in 0..1"
            return "the output is 1 for every image" if values.always_1 else None


def _describe(head: Head, values: Values, labels: Sequence[str]) -> str:
    match head:
        case "softmax":
            rounded = f", rounded in steps of {values.step:.2g}" if values.step > 0 else ""
            return f"probabilities of {values.width:,} classes{rounded}: served as they are"
        case "sigmoid":
            return f"one sigmoid: P({labels[-1]}), the second label; {labels[0]} has the rest"
        case "multilabel":
            return f"{values.width:,} tags, each a probability of its own: served as they are, not summing to 1"
        case "logits" if values.width == 1:
            return f"one logit z: P({labels[-1]}) = sigmoid(z), the second label; {labels[0]} has the rest"
        case "logits":
            if values.log_sum < SUM_TOLERANCE:
                return f"log-probabilities of {values.width:,} classes: their softmax is served, the probabilities"
            return f"logits of {values.width:,} classes: their softmax is served"


def _find_step(values: Floats) -> float:
    """What all values in 0..1 are multiples of (int8 and uint8 outputs), or the step of float16; else 0."""
    inside = np.unique(values[(values >= 0) & (values <= 1)])
    if len(inside) != len(np.unique(values)) or len(inside) < 2:
        return 0.0
    step = float(np.diff(inside).min())
    if SLACK < step <= COARSEST_STEP and np.abs(inside / step - np.round(inside / step)).max() < 0.01:
        return step
    # 1,000 numbers of float32 aren't all numbers of float16 by chance, but 0 and 1 are.
    if (inside.astype(np.float16) == inside).all() and not (np.isin(inside, (0, 1))).all():
        return FLOAT16_STEP
    return 0.0
