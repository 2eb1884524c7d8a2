"""The pictures of a report, read as SVG: its texts are what a reader sees written."""

import xml.etree.ElementTree as ET
from pathlib import Path

import matplotlib as mpl
import numpy as np

from artifact.figures.evaluation import Evaluation
from artifact.figures.interval import describe_share
from export.report.plots import draw_confusion, draw_curves, draw_reliability


def read_texts(picture: Path) -> list[str]:
    """In the order of drawing; matplotlib writes them as texts where svg.fonttype is none."""
    return ["".join(text.itertext()).strip() for text in ET.parse(picture).iter("{http://www.w3.org/2000/svg}text")]


def test_a_confusion_matrix_shows_every_count_the_zeros_too(tmp_path: Path) -> None:
    with mpl.rc_context({"svg.fonttype": "none"}):
        draw_confusion(np.array([[12, 0], [3, 25]]), ("cat", "dog"), tmp_path / "confusion.svg")
    texts = read_texts(tmp_path / "confusion.svg")
    assert [text for text in texts if text in ("12", "0", "3", "25")] == ["12", "0", "3", "25"]
    assert {"predicted class", "true class", "cat", "dog", "92.50 % of 40 right"} <= set(texts)


def test_a_matrix_of_many_classes_is_drawn_without_numbers(tmp_path: Path) -> None:
    with mpl.rc_context({"svg.fonttype": "none"}):
        draw_confusion(np.full((21, 21), 77), tuple(f"class {i}" for i in range(21)), tmp_path / "confusion.svg")
    assert "77" not in read_texts(tmp_path / "confusion.svg")


def test_reliability_counts_the_images_of_each_bin_and_hatches_those_without(tmp_path: Path) -> None:
    evaluation = Evaluation(dataset="d", split="test", images=50, top1=0.9, top5=1, ece=0.021)
    rows = [(5 / 15, 0.0, 0.35, 0.04), (14 / 15, 0.94, 0.97, 0.96)]  # two images, both wrong; 48 images
    with mpl.rc_context({"svg.fonttype": "none"}):
        draw_reliability(rows, evaluation, tmp_path / "reliability.svg")
    texts = read_texts(tmp_path / "reliability.svg")
    assert [text for text in texts if text in ("2", "48")] == ["2", "48"]
    assert {"no image was this sure", "perfectly calibrated", "50 images, calibration error (ECE) 2.1 %"} <= set(texts)


def test_curves_say_how_many_validation_images_there_are(tmp_path: Path) -> None:
    history = [
        {"epoch": epoch, "loss": 1.0, "val_loss": 1.0, "accuracy": 0.5, "val_accuracy": 0.5 + epoch / 100}
        for epoch in (1, 2)
    ]
    with mpl.rc_context({"svg.fonttype": "none"}):
        draw_curves(history, 2, "accuracy", 300, tmp_path / "curves.svg")
    texts = read_texts(tmp_path / "curves.svg")
    assert texts.count("validation (300 images)") == 2
    assert f"best: epoch 2, validation accuracy {describe_share(0.52, 300)}" in texts
