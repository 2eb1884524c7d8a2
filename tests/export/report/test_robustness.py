from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from artifact.figures.robustness import Robustness
from artifact.images.frame import Pixels
from export.report.robustness import RUNS, draw_robustness, measure_robustness


def measure_bright_squares() -> tuple[Robustness, int]:
    """Dark and bright images, told apart by a threshold on their mean that darker light crosses."""
    images = np.repeat(np.array([60, 160], np.uint8), 30)[:, None, None, None] * np.ones((1, 8, 8, 1), np.uint8)
    ticks = []

    def answer(pixels: Pixels) -> npt.NDArray[np.float32]:
        bright = (pixels.mean(axis=(1, 2, 3)) > 100).astype(np.float32)
        return np.stack([0.9 - 0.8 * bright, 0.1 + 0.8 * bright], axis=1)

    labels = np.repeat(np.arange(2), 30)
    return measure_robustness(images, labels, answer, "squares", lambda: ticks.append(1)), len(ticks)


def test_every_damage_is_measured_beside_the_images_as_they_are() -> None:
    found, runs = measure_bright_squares()
    assert runs == RUNS == 1 + len(found.corrupted) == 19
    assert (found.images, found.top1, found.dataset) == (60, 1.0, "squares")
    assert abs(found.ece - 0.1) < 1e-6
    light = [row for row in found.corrupted if row.corruption == "brightness"]
    assert [row.strength for row in light] == [1, 2, 3]
    # At 60 % every second bright image (160 -> 64) is called dark, and none of the dark ones (60 -> 96) bright.
    assert [row.top1 for row in light] == [1.0, 0.75, 0.75]
    assert light[2].amount == "±60%"
    assert all(row.top1 == 1 for row in found.corrupted if row.corruption in ("blur", "rotation", "scale"))


def test_the_picture_is_drawn(tmp_path: Path) -> None:
    draw_robustness(measure_bright_squares()[0], tmp_path / "robustness.png")
    with Image.open(tmp_path / "robustness.png") as picture:
        assert picture.size == (1080, 648)
