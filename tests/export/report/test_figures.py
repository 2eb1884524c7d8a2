"""By scikit-learn's figures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn import metrics

from export.report import figures
from export.report.evaluation import confusion_matrix, count_classes, describe_evaluation, evaluate, write_report


def draw(classes: int, called: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels of `classes` and what they were called, of `called`, mostly right."""
    generator = np.random.default_rng(0)
    labels = generator.choice(classes, 400, p=np.arange(1, classes + 1) / np.arange(1, classes + 1).sum())
    return labels, np.where(generator.random(400) < 0.7, labels, generator.integers(0, called, 400))


@pytest.mark.parametrize(("classes", "called"), [(7, 7), (5, 7), (7, 4), (2, 2)])
@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
def test_figures_are_scikit_learn_s(classes: int, called: int) -> None:
    labels, found = draw(classes, called)
    counts = count_classes(confusion_matrix(found, labels, 8))
    assert figures.accuracy(counts) == pytest.approx(metrics.accuracy_score(labels, found))
    assert figures.balanced_accuracy(counts) == pytest.approx(metrics.balanced_accuracy_score(labels, found))
    assert figures.macro_f1(counts) == pytest.approx(metrics.f1_score(labels, found, average="macro"))
    precision, recall, f1, images = metrics.precision_recall_fscore_support(
        labels, found, labels=np.arange(8), zero_division=np.nan
    )
    for ours, theirs in ((figures.recall, recall), (figures.precision, precision), (figures.f1, f1)):
        np.testing.assert_allclose(ours(counts), theirs)
    np.testing.assert_array_equal(counts[1], images)


def test_no_images_are_no_figure_but_no_error() -> None:
    counts = np.zeros((3, 4))
    assert (figures.accuracy(counts), figures.balanced_accuracy(counts), figures.macro_f1(counts)) == (0, 0, 0)


@pytest.mark.parametrize("classes", [5, 6])
def test_top_5_is_for_more_than_five_classes(classes: int, tmp_path: Path) -> None:
    labels, found = draw(classes, classes)
    probabilities = np.full((400, classes), 0.1)
    probabilities[np.arange(400), found] = 1 - 0.1 * (classes - 1)
    evaluation = evaluate(probabilities, labels, "made up")
    assert (evaluation.top5 is None) == (classes == 5)
    assert evaluation.balanced_accuracy == pytest.approx(metrics.balanced_accuracy_score(labels, found))
    said = describe_evaluation(evaluation)
    assert ("top-5" in said) == (classes == 6)
    assert f"balanced accuracy {evaluation.balanced_accuracy:.2%}, macro F1 {evaluation.macro_f1:.2%}" in said
    write_report(tmp_path, probabilities, labels, tuple("abcdef"[:classes]), evaluation)
    report = json.loads((tmp_path / "metrics.json").read_text())
    assert report["evaluation"] == evaluation.model_dump()
    f1 = [row["f1"] for row in report["classes"]]
    assert np.mean(f1) == pytest.approx(evaluation.macro_f1, abs=1e-4)
    assert [row["images"] for row in report["classes"]] == np.bincount(labels).tolist()
