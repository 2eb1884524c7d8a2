"""The pictures of a report. matplotlib without a screen; one function a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from artifact.figures.evaluation import CALIBRATION_BINS, Evaluation
from artifact.figures.interval import describe_share, find_interval
from export.report.figures import WORDS

INK, MUTED, BLUE, ORANGE = "#1f2933", "#7b8794", "#2563a8", "#c2571a"
# Up to this many classes, counts are written into the confusion matrix; a cell has room for five digits.
_MOST_WRITTEN = 20
_CELL_INCHES = 0.42

STYLE: dict[Any, Any] = {  # for matplotlib's type checker each key is a type of its own
    "font.size": 10,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
}


def draw_curves(
    history: list[dict[str, float]], best_epoch: int, best_by: str, validation_images: int, path: Path
) -> None:
    """Loss and accuracy of training and validation over epochs; the best epoch, by one of WORDS, is marked, with its
    95 % interval for `validation_images` images.
    """
    epochs = [row["epoch"] for row in history]
    figure_of_best = f"{WORDS[best_by]} {_say(history[best_epoch - 1][f'val_{best_by}'], best_by, validation_images)}"
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9, 3.6), layout="constrained")
        for axes, key, title in zip(figure.subplots(1, 2), ("loss", "accuracy"), ("Loss", "Accuracy"), strict=True):
            axes.plot(epochs, [row[key] for row in history], color=BLUE, marker=".", label="training")
            validation = f"validation ({validation_images:,} images)"
            axes.plot(epochs, [row[f"val_{key}"] for row in history], color=ORANGE, marker=".", label=validation)
            axes.axvline(best_epoch, color=MUTED, linestyle=":", linewidth=1)
            axes.set(xlabel="epoch", title=title)
            axes.locator_params("x", integer=True)
            axes.legend(frameon=False)
        figure.suptitle(f"best: epoch {best_epoch}, validation {figure_of_best}", fontsize=10)
        figure.savefig(path, dpi=120)


def _say(value: float, figure: str, images: int) -> str:
    """A figure of an epoch; those that are shares of the images have an interval."""
    if figure in ("accuracy", "top5"):
        return describe_share(value, images)
    return f"{value:.4f}" if figure == "loss" else f"{100 * value:.2f} %"


def draw_confusion(confusion: npt.NDArray[np.int64], names: tuple[str, ...], path: Path) -> None:
    """Draw counts [classes, classes], rows true classes and columns predicted ones, as a PNG. The counts, zeros too,
    are written in where they fit.
    """
    classes, images = len(names), int(confusion.sum())
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    written = classes <= _MOST_WRITTEN
    side = 2.4 + _CELL_INCHES * classes if written else 8
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(side + 0.8, side), layout="constrained")
        axes = figure.subplots()
        image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        if written:
            for i, j in np.ndindex(confusion.shape):
                color = "white" if shares[i, j] > 0.5 else INK if confusion[i, j] else MUTED
                axes.text(j, i, f"{confusion[i, j]}", ha="center", va="center", color=color, fontsize=9)
            rotate = max(map(len, names)) > 3
            axes.set_xticks(range(classes), names, rotation=45 if rotate else 0, ha="right" if rotate else "center")
            axes.set_yticks(range(classes), names)
        accuracy = float(np.trace(confusion)) / max(images, 1)
        axes.set(xlabel="predicted class", ylabel="true class", title=f"{100 * accuracy:.2f} % of {images:,} right")
        axes.spines[:].set_visible(False)
        figure.colorbar(image, ax=axes, shrink=0.7, label="share of the true class")
        figure.savefig(path, dpi=120)


def draw_reliability(rows: list[tuple[float, float, float, float]], evaluation: Evaluation, path: Path) -> None:
    """Accuracy over confidence in bins, with its 95 % interval, and how many images each bin holds. A bin without
    images is hatched: one whose images are all wrong has a point at 0.
    """
    width = 1 / CALIBRATION_BINS
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6.4, 5.4), layout="constrained")
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1.2))
        empty = set(range(CALIBRATION_BINS)) - {round(left / width) for left, *_ in rows}
        for place in empty:
            edges = place * width, (place + 1) * width
            hatched = upper.axvspan(*edges, facecolor="none", edgecolor="#d5dae0", hatch="///", lw=0)
            hatched.set_label("no image was this sure" if place == min(empty) else "")
        for left, accuracy, _, share in rows:
            _draw_bin(upper, lower, left + width / 2, accuracy, round(share * evaluation.images))
        upper.plot([0, 1], [0, 1], color=ORANGE, linestyle="--", linewidth=1, label="perfectly calibrated")
        title = f"{evaluation.images:,} images, calibration error (ECE) {100 * evaluation.ece:.1f} %"
        upper.set(ylabel="accuracy", ylim=(-0.03, 1.05), title=title)
        figure.legend(frameon=False, loc="outside lower center", ncols=2)
        lower.set(xlabel="confidence: the probability of the predicted class", ylabel="images", xlim=(0, 1))
        lower.margins(y=0.25)  # room for the counts
        figure.savefig(path, dpi=120)


def _draw_bin(upper: Axes, lower: Axes, middle: float, accuracy: float, images: int) -> None:
    """The bar of one bin above, with the interval of its accuracy, and below that of its images, with their number."""
    width = 1 / CALIBRATION_BINS
    low, high = find_interval(accuracy, images)
    upper.bar(middle, accuracy, width, color="#9dbbe0", edgecolor="white")
    reach = [[max(0.0, accuracy - low)], [max(0.0, high - accuracy)]]
    upper.errorbar(middle, accuracy, yerr=reach, color=BLUE, fmt="o", markersize=4, capsize=3, linewidth=1)
    lower.bar(middle, images, width, color=MUTED, edgecolor="white")
    lower.annotate(
        f"{images:,}", (middle, images), (0, 2), textcoords="offset points", ha="center", fontsize=8, color=INK
    )


def draw_timing(milliseconds: dict[str, list[float]], title: str, path: Path) -> None:
    """Each batch's time as a dot, every candidate in its color, its mean as a line with the number beside it."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7, 3.6), layout="constrained")
        axes = figure.subplots()
        for (name, times), color in zip(milliseconds.items(), (BLUE, ORANGE), strict=False):
            mean, deviation = float(np.mean(times)), float(np.std(times, ddof=min(1, len(times) - 1)))
            axes.plot(range(1, len(times) + 1), times, ".", color=color, markersize=4)
            axes.axhline(mean, color=color, linewidth=1, label=f"{name}: {mean:,.1f} +/- {deviation:,.1f} ms")
        axes.set(xlabel="batch", ylabel="ms a batch", title=title, ylim=(0, None))
        axes.locator_params("x", integer=True)
        axes.legend(frameon=False)
        figure.savefig(path, dpi=120)
