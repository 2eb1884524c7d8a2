"""Accuracy and calibration on damaged images, and their picture. Knows no network: it is given what answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from artifact.figures.interval import find_interval
from artifact.figures.robustness import Corrupted, Robustness
from artifact.images.frame import Pixels
from export.report.calibration import Floats, Labels, calibration_error
from export.report.corruptions import DAMAGES, corrupt
from export.report.evaluation import top_k_accuracy
from export.report.plots import BLUE, INK, MUTED, ORANGE, STYLE

PICTURE_FILE = "robustness.png"
RUNS = 1 + sum(len(damage.amounts) for damage in DAMAGES.values())
"""How many times each image is answered: once as it is, once for each damage and strength."""


def measure_robustness(
    pixels: Pixels, labels: Labels, answer: Callable[[Pixels], Floats], dataset: str, tick: Callable[[], object]
) -> Robustness:
    """Top-1 accuracy and calibration error on images as they are and with each kind and strength of damage.

    `pixels` is uint8 [n, height, width, channels], `labels` the true classes [n]; `answer` gives probabilities, float32
    [n, classes]. `dataset` is the name that the card will give. `tick` is called after each of the RUNS.
    """

    def measure(images: Pixels) -> tuple[float, float]:
        probabilities = answer(images)
        tick()
        return top_k_accuracy(probabilities, labels, 1), calibration_error(probabilities, labels)

    top1, ece = measure(pixels)
    rows = []
    for name, damage in DAMAGES.items():
        for strength, amount in enumerate(damage.amounts, start=1):
            right, error = measure(corrupt(pixels, name, amount))
            words = damage.words.format(amount)
            rows.append(Corrupted(corruption=name, strength=strength, amount=words, top1=right, ece=error))
    return Robustness(dataset=dataset, images=len(labels), top1=top1, ece=ece, corrupted=tuple(rows))


def draw_robustness(found: Robustness, path: Path) -> None:
    """Draw one panel per damage: top-1 with its 95 % interval, and the calibration error, by strength."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9, 5.4), layout="constrained")
        panels = figure.subplots(2, 3, sharey=True).flat
        for axes, (name, damage) in zip(panels, DAMAGES.items(), strict=True):
            rows = [row for row in found.corrupted if row.corruption == name]
            right = np.array([found.top1, *(row.top1 for row in rows)])
            bounds = np.array([find_interval(share, found.images) for share in right])
            error = [found.ece, *(row.ece for row in rows)]
            places = range(len(right))
            axes.fill_between(places, bounds[:, 0], bounds[:, 1], color=BLUE, alpha=0.15, linewidth=0)
            axes.plot(places, right, color=BLUE, marker="o", markersize=4, label="top-1")
            axes.plot(places, error, color=ORANGE, marker="o", markersize=4, label="calibration error (ECE)")
            axes.axhline(found.top1, color=MUTED, linestyle=":", linewidth=1)
            axes.set_title(damage.title, color=INK, fontsize=10)
            axes.set(ylim=(0, 1.02))
            axes.set_xticks(places, ["none", *map(damage.mark.format, damage.amounts)])
            axes.yaxis.set_major_formatter(PercentFormatter(1))
        handles, names = axes.get_legend_handles_labels()
        figure.legend(handles, names, frameon=False, loc="outside lower center", ncols=2)
        figure.suptitle(f"{found.images:,} images of {found.dataset}, damaged (band: 95 % interval)", fontsize=10)
        figure.savefig(path, dpi=120)
