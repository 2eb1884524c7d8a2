from typing import Any

from app.client.image_lists import ListedImage
from app.client.tally import Tally

CLASSES = frozenset(("cat", "dog"))
FAILED = {"error": "no image"}


def answer(label: str) -> dict[str, Any]:
    return {"predictions": [{"classes": [{"label": label, "index": 0, "probability": 0.9}]}]}


def summarize(*noted: tuple[ListedImage, dict[str, Any]]) -> list[str]:
    tally = Tally(CLASSES)
    for image, given in noted:
        tally.note(image, given)
    return list(tally.summarize())


def test_accuracy_counts_what_was_classified_and_has_a_label() -> None:
    counted, accuracy = summarize(
        (ListedImage("1", "cat"), answer("cat")),
        (ListedImage("2", "dog"), answer("dog")),
        (ListedImage("3", "dog"), answer("cat")),
        (ListedImage("4", "dog"), FAILED),
        (ListedImage("5"), answer("cat")),
    )
    assert counted.startswith("5 images, 1 failed, ")
    assert counted.endswith(" images/s")
    assert accuracy == "accuracy 66.67%: 2 right of 3 with a label"


def test_labels_that_are_no_classes_are_counted_and_named() -> None:
    unknown = [(ListedImage(str(number), f"x{number}"), answer("cat")) for number in range(4)]
    *_, accuracy, left_out = summarize((ListedImage("1", "cat", is_folder=True), answer("cat")), *unknown)
    assert accuracy == "accuracy 100.00%: 1 right of 1 with a label"
    assert left_out == "4 images have labels that are not classes of the model: x0, x1, x2, ..."


def test_folders_that_are_no_class_folders_say_nothing() -> None:
    assert len(summarize((ListedImage("1", "2026", is_folder=True), answer("cat")))) == 1
    assert len(summarize((ListedImage("1", "2026"), answer("cat")))) == 2
