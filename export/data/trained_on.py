"""Whether a data set is the one that a network was trained on, by the set's name and the digest of its training images:
a card has no paths of the machine that made it.
"""

from __future__ import annotations

from pathlib import Path

from artifact.card import ModelCard, Training
from export.data.datasets import DATASETS, DataSet, load_dataset
from export.data.stored.find import name_set
from export.errors import UsageError
from export.progress import say


def has_name(training: Training | None, dataset: str) -> bool:
    """Whether the data set called `dataset`, or the one at that path, has the name of what was trained on."""
    return training is not None and _title(training.dataset) == _title(dataset)


def is_trained_on(training: Training | None, dataset: DataSet) -> bool:
    """Whether the training images of `dataset` are those that trained and validated then. Of a card that doesn't tell,
    because an older convserve wrote it, the name must do.
    """
    if training is None or dataset.train is None:
        return False
    if training.images_digest:
        return training.images_digest == dataset.images_digest
    return has_name(training, dataset.name)


def load_for_test(name: str, data_dir: Path | None, card: ModelCard, *, skip_damaged: bool = False) -> DataSet:
    """The data set to measure a published network on: all images for the test, unless it has the name of the set that
    trained it, which is divided as it was then. Images that trained it and are all for the test are told, by their
    names and classes: no image is read for that. Raises as `load_dataset` does.
    """
    seen = has_name(card.training, name)
    dataset = load_dataset(name, data_dir, skip_damaged=skip_damaged, seen=seen)
    if seen and not is_trained_on(card.training, dataset):
        say(f"{dataset.title} isn't what {card.name} was trained on, or has changed: its own test images are taken")
    if dataset.train is dataset.test and is_trained_on(card.training, dataset):
        say(
            f"the images of {dataset.title} have the names and classes of those that {card.name} was trained on: if "
            "they are the same images, the accuracy measured on them is too high"
        )
    return dataset


def locate(recorded: str, model: str) -> str:
    """The recorded data set of `model` as `load_dataset` takes it. Raises UsageError where it isn't here."""
    if recorded in DATASETS or Path(recorded).exists():
        return recorded
    place = Path(recorded).parent if Path(recorded).is_absolute() else "this folder"
    raise UsageError(
        f"--dataset is missing: {model} was trained on {_title(recorded)}, which isn't in {place}: say where it is"
    )


def _title(dataset: str) -> str:
    return name_set(Path(dataset).resolve())
