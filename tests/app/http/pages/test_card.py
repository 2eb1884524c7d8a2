"""The model card as people read it."""

import re
from collections.abc import Callable
from html import unescape
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from artifact.card import Training
from artifact.figures.evaluation import Calibration, Distribution, Evaluation, Foreign
from tests.makers.artifacts import LABELS, make_artifact

Open = Callable[..., TestClient]
EVALUATION = Evaluation(dataset="pets", split="test", images=300, top1=0.48, top5=0.9, ece=0.02)


def read_card_page(client: TestClient) -> str:
    """Its text, tags replaced by spaces."""
    page = client.get("/models/tiny/card", headers={"Accept": "text/html"})
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page.text)).split())


def test_accuracy_is_said_with_its_interval(tmp_path: Path, open_client: Open) -> None:
    make_artifact(tmp_path, evaluation=EVALUATION)
    text = read_card_page(open_client(repository=tmp_path))
    assert "Top-1 48 % (42 to 54 %, from 300 images)" in text
    assert "Its accuracy was measured on few images: 48 % (42 to 54 %, from 300 images)." in text


@pytest.mark.parametrize("classes", [5, 6])
def test_top_5_is_said_of_more_than_five_classes_alone(tmp_path: Path, open_client: Open, classes: int) -> None:
    make_artifact(tmp_path, labels=[*LABELS, "clear"][:classes], evaluation=EVALUATION)
    assert ("Top-5" in read_card_page(open_client(repository=tmp_path))) == (classes > 5)


def test_a_recipe_is_not_dumped_and_what_is_any_is_left_out(tmp_path: Path, open_client: Open) -> None:
    training = Training(
        dataset="/home/me/pets", images=900, validation_images=100, epochs=3, seed=0, recipe={"nesterov": True},
        seconds=9, backend="keras",
    )  # fmt: skip
    make_artifact(tmp_path, training=training)
    text = read_card_page(open_client(repository=tmp_path))
    assert "nesterov" not in text
    assert "Polarity" not in text
    assert "Trained on 900 images of pets" in text
    assert "Chosen on 100 validation images" in text


def test_of_one_sigmoid_the_card_says_which_label_it_speaks_for(tmp_path: Path, open_client: Open) -> None:
    reading = "one sigmoid: P(dog), the second label; cat has the rest"
    make_artifact(tmp_path, labels=("cat", "dog"), head="sigmoid", reading=reading)
    assert f"Last layer {reading}" in read_card_page(open_client(repository=tmp_path))


def test_a_class_has_the_interval_of_its_recall(tmp_path: Path, open_client: Open) -> None:
    folder = make_artifact(tmp_path, calibration=Calibration(
        dataset="pets", images=100, temperature=1.1, ece_before=0.05, ece_after=0.012,
    ))  # fmt: skip
    (folder / "report").mkdir()
    (folder / "report" / "metrics.json").write_text(
        '{"classes": [{"label": "cat", "images": 5, "recall": 0.8, "precision": 1.0},'
        ' {"label": "dog", "images": 0, "recall": null, "precision": null}]}'
    )
    text = read_card_page(open_client(repository=tmp_path))
    assert "cat 5 80 % (38 to 96 %) 100.0 % dog 0 - -" in text
    assert "error 5.0 % before, 1.2 % after" in text


@pytest.mark.parametrize(("noticed", "missed"), [(0.21, True), (1.0, False)])
def test_the_card_says_how_often_the_warning_of_unfamiliar_images_notices_them(
    tmp_path: Path, open_client: Open, noticed: float, missed: bool
) -> None:
    foreign = Foreign(images=48, source="pieces of two photos", noticed=noticed)
    energy = tuple(float(place) for place in range(9))
    shares = {"classes": (0.2,) * 5, "confidence": (0.1,) * 10}
    make_artifact(tmp_path, distribution=Distribution(images=144, energy=energy, foreign=foreign, **shares))
    text = read_card_page(open_client(repository=tmp_path))
    assert "Warning of unfamiliar images on 1 % of validation images and " in text
    assert " of 48 foreign ones (pieces of two photos)" in text
    assert ("misses many foreign images" in text) == missed
