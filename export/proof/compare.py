"""Compares the probabilities of the untouched network with those of the finished graph."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from artifact.card import Head, Proof
from export.errors import ProofError
from export.proof.runtime import BATCH_SIZES
from export.report.calibration import Floats, softmax

ABS_TOLERANCE = 1e-4
LOG_TOLERANCE = 1e-3
# Of a network that computes in float16 itself: ONNX Runtime rounds between its nodes here and not there. Near 1 its
# numbers stand 5e-4 apart.
FLOAT16_ABS_TOLERANCE, FLOAT16_LOG_TOLERANCE = 2e-3, 2e-2
LEAST_PROBABILITY = 1e-6


def probabilities_from(outputs: Floats, head: Head, temperature: float = 1.0) -> Floats:
    """The network's outputs [n, outputs] to probabilities [n, classes] in NumPy, as the head and the temperature say.

    That the outputs are what the head says has been judged before: export/proof/head.py.
    """
    values = np.asarray(outputs, np.float64)
    if head == "multilabel":
        return values
    if head == "logits":
        logits = values if values.shape[1] > 1 else np.concatenate([np.zeros_like(values), values], axis=1)
        return softmax(logits, temperature)
    if values.shape[1] == 1:
        values = np.concatenate([1 - values, values], axis=1)
    return values if temperature == 1 else softmax(np.log(np.maximum(values, np.finfo(np.float32).tiny)), temperature)


def compare(
    keras_probabilities: Floats,
    graph_probabilities: Floats,
    *,
    source: str,
    batch_sizes: Sequence[int] = BATCH_SIZES,
    abs_tolerance: float = ABS_TOLERANCE,
    log_tolerance: float = LOG_TOLERANCE,
    fitted_random_weights: bool = False,
) -> Proof:
    """The proof that two sets of probabilities [n, classes] are the same.

    Raises ProofError with the largest difference and its place where one is not finite, where |p - p'| or, for
    p >= 1e-6, |ln p - ln p'| / max(1, |ln p|) exceeds its tolerance, or where top-1 differs by more than the tolerance
    can explain.
    """
    expected = np.asarray(keras_probabilities, np.float64)
    actual = np.asarray(graph_probabilities, np.float64)
    difference, log_difference = measure_differences(expected, actual)
    _refuse_beyond("|p - p'|", difference, abs_tolerance)
    _refuse_beyond("|ln p - ln p'| / max(1, |ln p|)", log_difference, log_tolerance)
    top = np.sort(expected, axis=1)
    decided = top[:, -1] - top[:, -2] > abs_tolerance
    equal = expected.argmax(axis=1) == actual.argmax(axis=1)
    if (decided & ~equal).any():
        raise ProofError(f"{np.count_nonzero(decided & ~equal)} of {len(expected):,} images get another class")
    return Proof(
        images=len(expected),
        source=source,
        batch_sizes=tuple(batch_sizes),
        max_abs_difference=float(difference.max()),
        max_log_difference=float(log_difference.max()),
        top1_agreement=float(equal.mean()),
        abs_tolerance=abs_tolerance,
        log_tolerance=log_tolerance,
        fitted_random_weights=fitted_random_weights,
    )


def measure_differences(expected: Floats, actual: Floats) -> tuple[Floats, Floats]:
    """|p - p'| and |ln p - ln p'| / max(1, |ln p|), the latter 0 where p < 1e-6; both [n, classes].

    Raises ProofError where the shapes differ or a value is not finite.
    """
    if expected.shape != actual.shape:
        raise ProofError(f"Keras gives {expected.shape}, the graph {actual.shape}")
    for side, values in (("Keras", expected), ("the graph", actual)):
        if not np.isfinite(values).all():
            raise ProofError(f"{side} gives {np.count_nonzero(~np.isfinite(values)):,} values that are not finite")
    likely = expected >= LEAST_PROBABILITY
    logs = np.log(np.where(likely, expected, 1))
    floor = np.finfo(np.float64).tiny
    log_difference = np.where(likely, np.abs(logs - np.log(np.maximum(actual, floor))) / np.maximum(1, np.abs(logs)), 0)
    return np.abs(expected - actual), log_difference


def _refuse_beyond(what: str, values: Floats, tolerance: float) -> None:
    if not values.max() <= tolerance:  # "not <=" refuses NaN as well
        image, label = np.unravel_index(int(values.argmax()), values.shape)
        raise ProofError(
            f"the graph differs from Keras: {what} = {values.max():.3g} at image {image}, class {label}; "
            f"the tolerance is {tolerance:g}. Nothing was published"
        )
