"""The pictures of a report. matplotlib without a screen; one function a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from export.report.figures import WORDS

INK, MUTED, BLUE, ORANGE = "#1f2933", "#7b8794", "#2563a8", "#c2571a"

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


def draw_curves(history: list[dict[str, float]], best_epoch: int, best_by: str, path: Path) -> None:
    """Loss and accuracy of training and validation over epochs; the best epoch, by one of WORDS, is marked."""
    epochs = [row["epoch"] for row in history]
    value = history[best_epoch - 1][f"val_{best_by}"]
    figure_of_best = f"{WORDS[best_by]} {value:.4f}" if best_by == "loss" else f"{WORDS[best_by]} {value:.2%}"
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9, 3.6), layout="constrained")
        for axes, key, title in zip(figure.subplots(1, 2), ("loss", "accuracy"), ("Loss", "Accuracy"), strict=True):
            axes.plot(epochs, [row[key] for row in history], color=BLUE, marker=".", label="training")
            axes.plot(epochs, [row[f"val_{key}"] for row in history], color=ORANGE, marker=".", label="validation")
            axes.axvline(best_epoch, color=MUTED, linestyle=":", linewidth=1)
            axes.set(xlabel="epoch", title=title)
            axes.locator_params("x", integer=True)
            axes.legend(frameon=False)
        figure.suptitle(f"best: epoch {best_epoch}, validation {figure_of_best}", fontsize=10)
        figure.savefig(path, dpi=120)


def draw_confusion(confusion: npt.NDArray[np.int64], names: tuple[str, ...], path: Path) -> None:
    """Rows are true classes, columns what they were called; counts are written in where they fit."""
    classes = len(names)
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    written = classes <= 20
    side = 2.2 + 0.5 * classes if written else 8
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(side + 0.6, side), layout="constrained")
        axes = figure.subplots()
        image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        if written:
            for i, j in np.ndindex(confusion.shape):
                if confusion[i, j]:
                    color = "white" if shares[i, j] > 0.5 else INK
                    axes.text(j, i, f"{confusion[i, j]}", ha="center", va="center", color=color, fontsize=8)
            rotate = max(map(len, names)) > 3
            axes.set_xticks(range(classes), names, rotation=45 if rotate else 0, ha="right" if rotate else "center")
            axes.set_yticks(range(classes), names)
        accuracy = np.trace(confusion) / max(confusion.sum(), 1)
        axes.set(xlabel="called", ylabel="true class", title=f"{accuracy:.2%} of {confusion.sum():,} images right")
        axes.spines[:].set_visible(False)
        figure.colorbar(image, ax=axes, shrink=0.7, label="share of the true class")
        figure.savefig(path, dpi=120)


def draw_reliability(rows: list[tuple[float, float, float, float]], ece: float, path: Path) -> None:
    """Accuracy over confidence in 15 bins, and how many images each bin holds."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.6, 5), layout="constrained")
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        width = 1 / 15
        lefts = [left for left, *_ in rows]
        upper.bar(lefts, [accuracy for _, accuracy, _, _ in rows], width, align="edge", color=BLUE, edgecolor="white")
        upper.plot([0, 1], [0, 1], color=ORANGE, linestyle="--", linewidth=1, label="perfectly calibrated")
        upper.set(ylabel="accuracy", ylim=(0, 1.02), title=f"Reliability (ECE {ece:.4f})")
        upper.legend(frameon=False, loc="upper left")
        lower.bar(lefts, [share for *_, share in rows], width, align="edge", color=MUTED, edgecolor="white")
        lower.set(xlabel="confidence", ylabel="share", xlim=(0, 1))
        figure.savefig(path, dpi=120)


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
