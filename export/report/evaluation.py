"""Accuracy of probabilities against labels, and its report: metrics.json, confusion.png, reliability.png."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt

from artifact.card import Evaluation
from export.report import plots
from export.report.calibration import Floats, Labels, calibration_error, reliability


def top_k_accuracy(probabilities: Floats, labels: Labels, k: int) -> float:
    """The share of rows [n, classes] whose true class is among the k most probable."""
    k = min(k, probabilities.shape[1])
    best = np.argpartition(-probabilities, k - 1, axis=1)[:, :k]
    return float((best == labels[:, None]).any(axis=1).mean())


def evaluate(probabilities: Floats, labels: Labels, dataset: str, split: str = "test") -> Evaluation:
    return Evaluation(
        dataset=dataset,
        split=split,
        images=len(labels),
        top1=top_k_accuracy(probabilities, labels, 1),
        top5=top_k_accuracy(probabilities, labels, 5),
        ece=calibration_error(probabilities, labels),
    )


def confusion_matrix(predicted: npt.NDArray[np.intp], labels: Labels, classes: int) -> npt.NDArray[np.int64]:
    """counts[i, j]: images of class i that were called class j."""
    return np.bincount(labels * classes + predicted, minlength=classes**2).reshape(classes, classes)


def write_report(
    folder: Path, probabilities: Floats, labels: Labels, names: tuple[str, ...], evaluation: Evaluation
) -> None:
    """metrics.json with a row a class, and the two pictures, into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    confusion = confusion_matrix(probabilities.argmax(axis=1), labels, len(names))
    true, called = confusion.sum(axis=1), confusion.sum(axis=0)
    per_class = [
        {
            "label": name,
            "images": int(true[i]),
            "recall": _ratio(confusion[i, i], true[i]),
            "precision": _ratio(confusion[i, i], called[i]),
        }
        for i, name in enumerate(names)
    ]
    metrics = {
        "evaluation": evaluation.model_dump(),
        "classes": per_class,
        "reliability": [
            {"from": left, "accuracy": accuracy, "confidence": confidence, "share": share}
            for left, accuracy, confidence, share in reliability(probabilities, labels)
        ],
    }
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=1) + "\n")
    plots.draw_confusion(confusion, names, folder / "confusion.png")
    plots.draw_reliability(reliability(probabilities, labels), evaluation.ece, folder / "reliability.png")


def _ratio(part: np.integer, whole: np.integer) -> float | None:
    return round(float(part) / float(whole), 4) if whole else None
