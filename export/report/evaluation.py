"""Accuracy of probabilities against labels, and its report: metrics.json, confusion.png, reliability.png."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt

from artifact.figures.evaluation import Evaluation
from export.report import figures, plots
from export.report.calibration import Floats, Labels, calibration_error, reliability


def top_k_accuracy(probabilities: Floats, labels: Labels, k: int) -> float:
    """The share of rows [n, classes] whose true class is among the k most probable."""
    k = min(k, probabilities.shape[1])
    best = np.argpartition(-probabilities, k - 1, axis=1)[:, :k]
    return float((best == labels[:, None]).any(axis=1).mean())


def evaluate(probabilities: Floats, labels: Labels, dataset: str) -> Evaluation:
    """The figures of a card from probabilities [n, classes] and true `labels` [n] of test images; top-5 is None of five
    classes or fewer.
    """
    classes = probabilities.shape[1]
    counts = count_classes(confusion_matrix(probabilities.argmax(axis=1), labels, classes))
    return Evaluation(
        dataset=dataset,
        split="test",
        images=len(labels),
        top1=top_k_accuracy(probabilities, labels, 1),
        top5=top_k_accuracy(probabilities, labels, 5) if classes > 5 else None,
        balanced_accuracy=figures.balanced_accuracy(counts),
        macro_f1=figures.macro_f1(counts),
        ece=calibration_error(probabilities, labels),
    )


def describe_evaluation(evaluation: Evaluation) -> str:
    """The figures of an evaluation in one line, for people."""
    shares = {
        "top-1": evaluation.top1,
        "top-5": evaluation.top5,
        "balanced accuracy": evaluation.balanced_accuracy,
        "macro F1": evaluation.macro_f1,
    }
    known = [f"{name} {share:.2%}" for name, share in shares.items() if share is not None]
    return ", ".join([*known, f"calibration error {evaluation.ece:.4f}"])


def confusion_matrix(predicted: npt.NDArray[np.intp], labels: Labels, classes: int) -> npt.NDArray[np.int64]:
    """int64 [classes, classes] from predicted and true classes, each [n]: at [i, j] the images of class i that were
    called class j.
    """
    return np.bincount(labels * classes + predicted, minlength=classes**2).reshape(classes, classes)


def count_classes(confusion: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """[3, classes]: of each class the images that were called right, all of them, and all images called so."""
    return np.stack([confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)])


def write_report(
    folder: Path, probabilities: Floats, labels: Labels, names: tuple[str, ...], evaluation: Evaluation
) -> None:
    """Write metrics.json, with a row for each class, confusion.png and reliability.png into `folder`. `probabilities`
    are float [n, classes], `labels` the true classes [n], `names` those of the classes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    confusion = confusion_matrix(probabilities.argmax(axis=1), labels, len(names))
    counts = count_classes(confusion)
    rows = zip(names, counts[1], *(f(counts) for f in (figures.recall, figures.precision, figures.f1)), strict=True)
    per_class = [
        {
            "label": name,
            "images": int(images),
            "recall": _share(recall),
            "precision": _share(precision),
            "f1": _share(f1),
        }
        for name, images, recall, precision, f1 in rows
    ]
    metrics = {
        "evaluation": evaluation.model_dump(),
        "classes": per_class,
        "reliability": [
            {"from": left, "accuracy": accuracy, "confidence": confidence, "share": share}
            for left, accuracy, confidence, share in reliability(probabilities, labels)
        ],
    }
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=1) + "\n", encoding="utf-8")
    plots.draw_confusion(confusion, names, folder / "confusion.png")
    plots.draw_reliability(reliability(probabilities, labels), evaluation, folder / "reliability.png")


def _share(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 4)
