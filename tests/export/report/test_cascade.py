"""The threshold of a cascade, on probabilities that are known."""

import numpy as np
import pytest

from export.errors import UsageError
from export.report.cascade import choose_threshold

LABELS = np.zeros(10, np.int64)


def two_classes(confidence: list[float], right: list[int]) -> np.ndarray:
    """Probabilities [n, 2] of a network that is right, at label 0, in these places."""
    sure = np.float32(confidence)
    return np.where(np.bool_(right)[:, None], np.stack([sure, 1 - sure], 1), np.stack([1 - sure, sure], 1))


# Wrong at 0.55 and 0.65, which the second network knows; the second alone is wrong at 0.95, where the first is right.
CONFIDENCE = [0.55, 0.65, 0.75, 0.8, 0.85, 0.9, 0.92, 0.95, 0.97, 0.99]
FIRST = two_classes(CONFIDENCE, [0, 0, 1, 1, 1, 1, 1, 1, 1, 1])
THEN = two_classes([0.9] * 10, [1, 1, 1, 1, 1, 1, 1, 0, 1, 1])


def test_as_few_images_as_will_do_go_to_the_second_network() -> None:
    chosen = choose_threshold(FIRST, THEN, LABELS, 1.0)
    assert chosen.probability == 0.65  # the float32 nearest to it is below
    assert (chosen.accuracy, chosen.asked, chosen.images) == (1.0, 0.2, 10)
    assert (chosen.first_accuracy, chosen.second_accuracy) == (0.8, 0.9)
    assert choose_threshold(FIRST, THEN, LABELS, 0.9).asked == 0.1


def test_a_lucky_low_threshold_is_passed_over() -> None:
    """From 0.56 on 90 % are right by luck, from 0.66 on no more, and from 0.81 on for good."""
    confidence = [0.55, 0.65, 0.8, 0.85, 0.9, 0.95, 0.96, 0.97, 0.98, 0.99]
    first = two_classes(confidence, [0, 1, 0, 1, 1, 1, 1, 1, 1, 1])
    then = two_classes([0.9] * 10, [1, 0, 1, 1, 1, 1, 1, 1, 1, 1])
    assert choose_threshold(first, then, LABELS, 0.9).asked == 0.3


def test_without_an_accuracy_it_is_that_of_the_second_network() -> None:
    assert choose_threshold(FIRST, THEN, LABELS, None) == choose_threshold(FIRST, THEN, LABELS, 0.9)


def test_the_threshold_holds_as_the_service_compares_it() -> None:
    chosen = choose_threshold(FIRST, THEN, LABELS, 1.0)
    asked = [float(sure) < float(f"{chosen.probability:g}") for sure in FIRST.max(axis=1)]
    assert sum(asked) == 2


def test_an_accuracy_out_of_reach_and_one_without_need_are_refused_in_words() -> None:
    with pytest.raises(UsageError, match=r"no threshold reaches 100.00%: the best is .* with 90.00%"):
        choose_threshold(FIRST, two_classes([0.9] * 10, [0, 1, 1, 1, 1, 1, 1, 1, 1, 1]), LABELS, 1.0)
    with pytest.raises(UsageError, match=r"first network alone is right in 80.00%"):
        choose_threshold(FIRST, THEN, LABELS, 0.7)
