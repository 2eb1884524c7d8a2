from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from export.report.suspects import Suspects, find_suspects
from export.report.suspects_page import PAGE_FILE, TABLE_FILE, write_suspects


def draw_labels(
    images: int = 3000, classes: int = 7, wrong: int = 150
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64], npt.NDArray[np.intp]]:
    """Probabilities that favor the true class, labels some of which are wrong, and where."""
    random = np.random.default_rng(0)
    true = random.integers(0, classes, images)
    logits = random.normal(0, 1, (images, classes))
    logits[np.arange(images), true] += 4
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    places = random.choice(images, wrong, replace=False)
    labels = true.copy()
    labels[places] = (labels[places] + random.integers(1, classes, wrong)) % classes
    return probabilities, labels, places


def test_flipped_labels_come_first_and_their_share_is_estimated() -> None:
    probabilities, labels, wrong = draw_labels()
    found = find_suspects(probabilities, labels)
    assert np.isin(found.places[: len(wrong)], wrong).mean() > 0.9
    assert found.wrong_share == pytest.approx(0.05, abs=0.015)
    assert (found.given == labels[found.places]).all()
    assert (found.given != found.suggested).all()
    assert (np.diff(found.given_probability) >= 0).all()


def test_a_class_is_confident_from_the_mean_of_its_own_images_on() -> None:
    # Thresholds: class 0 (0.9 + 0.5 + 0.1) / 3 = 0.5, class 1 (0.8 + 0.3) / 2 = 0.55.
    first = np.array([0.9, 0.5, 0.1, 0.2, 0.7])
    found = find_suspects(np.stack([first, 1 - first], axis=1), np.array([0, 0, 0, 1, 1]))
    assert found.places.tolist() == [2, 4]
    assert found.suggested.tolist() == [1, 0]
    # Joint: class 0 has two right and one wrong, class 1 one and one.
    assert found.wrong_share == pytest.approx((3 * 1 / 3 + 2 * 1 / 2) / 5)


def test_an_image_that_is_confidently_of_no_class_is_not_suspect() -> None:
    probabilities = np.array([[0.9, 0.1, 0.0], [0.0, 0.9, 0.1], [0.1, 0.0, 0.9], [0.3, 0.4, 0.3]])
    assert len(find_suspects(probabilities, np.array([0, 1, 2, 0]))) == 0


def test_a_class_without_images_is_never_suggested() -> None:
    probabilities = np.array([[0.1, 0.1, 0.8], [0.2, 0.7, 0.1], [0.6, 0.3, 0.1], [0.1, 0.8, 0.1]])
    found = find_suspects(probabilities, np.array([0, 1, 0, 1]))
    assert 2 not in found.suggested


def write(folder: Path, suspects: Suspects, shown: int) -> list[dict[str, str]]:
    write_suspects(
        folder,
        suspects,
        ("<cat>", "dog"),
        title="Suspects & more",
        name_image=lambda place: f"<{place}>.png",
        show_images=lambda places: np.full((len(places), 8, 8, 1), 7, np.uint8),
        shown=shown,
    )
    with (folder / TABLE_FILE).open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("shown", [1, 5])
def test_the_table_has_all_and_the_page_escapes_what_it_shows(tmp_path: Path, shown: int) -> None:
    first = np.array([0.9, 0.5, 0.1, 0.2, 0.7])
    suspects = find_suspects(np.stack([first, 1 - first], axis=1), np.array([0, 0, 0, 1, 1]))
    rows = write(tmp_path / "new", suspects, shown)
    assert [(row["image"], row["given"], row["suggested"]) for row in rows] == [
        ("<2>.png", "<cat>", "dog"),
        ("<4>.png", "dog", "<cat>"),
    ]
    assert (rows[0]["rank"], rows[0]["p_given"], rows[0]["p_suggested"]) == ("1", "0.1000", "0.9000")
    page = (tmp_path / "new" / PAGE_FILE).read_text()
    assert '<span class="given">the label that it has</span>' in page
    assert page.count("data:image/png;base64,") == min(shown, 2)
    assert ("The first 1 are shown" in page) == (shown == 1)
    assert "&lt;cat&gt;" in page
    assert "<cat>" not in page


def test_a_page_without_suspects_says_so(tmp_path: Path) -> None:
    none = find_suspects(np.eye(2), np.arange(2))
    assert write(tmp_path, none, 5) == []
    page = (tmp_path / PAGE_FILE).read_text()
    assert "0 of 2 labels are suspect" in page
    assert "the label that it has" not in page
