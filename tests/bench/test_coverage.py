import numpy as np
import pytest

from app.inference.scores import score_rows
from bench.coverage import measure


def test_sets_are_those_that_the_service_would_answer() -> None:
    probabilities = np.float32([[0.7, 0.2, 0.1], [0.4, 0.35, 0.25], [0.2, 0.2, 0.6]])
    answers, truth = score_rows(probabilities), np.array([0, 1, 1])
    assert measure(answers, truth, 0.1) == (pytest.approx(1 / 3), 1)  # never empty: the best class alone
    assert measure(answers, truth, 0.65) == (pytest.approx(2 / 3), pytest.approx(4 / 3))
    assert measure(answers, truth, 0.8) == (1, pytest.approx(8 / 3))


def test_more_sure_than_any_class_is_top_1() -> None:
    answers = score_rows(np.float32([[0.5, 0.5], [0.1, 0.9]]))
    assert measure(answers, np.array([0, 0]), 0) == (0.5, 1)
