"""A cascade of two published models: its threshold, chosen on images that neither was trained on."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from artifact.card import ModelCard
from export.data.datasets import DataSet
from export.data.holdout import split_images, validation_images
from export.data.trained_on import has_name, is_trained_on
from export.errors import UsageError
from export.progress import say
from export.publish.published import Published
from export.publish.read_back import match_classes, run_published
from export.report.calibration import LEAST_IMAGES
from export.report.cascade import Threshold, choose_threshold

# Of the training images, where no record says which a network has not seen.
_SHARE = 0.1


def choose_cascade(first: Published, then: Published, dataset: DataSet, accuracy: float | None) -> Threshold:
    """The threshold for `accuracy` (None: that of `then` alone) on validation images, never on test images.

    Raises UsageError where the two models or the data set can't make a cascade, or can't reach that accuracy.
    """
    if first.folder == then.folder:
        raise UsageError(f"first and then are both {first.card.name} version {first.card.version}: name two models")
    if first.card.labels != then.card.labels:
        raise UsageError(f"{first.card.name} and {then.card.name} must have the same labels in the same order")
    places = match_classes(first.card, dataset)
    validation = find_validation((first.card, then.card), dataset)
    assert dataset.train is not None
    one, other = (
        run_published(published, dataset.train, title=published.card.name, indices=validation.tolist())
        for published in (first, then)
    )
    return choose_threshold(one, other, places[dataset.train.labels[validation]], accuracy)


def find_validation(cards: tuple[ModelCard, ModelCard], dataset: DataSet) -> npt.NDArray[np.intp]:
    """Indices [n] of the training images that neither model was trained on, by the splits that their cards record.
    Raises UsageError where there are no training images, or too few of these; DataError as validation_images does.
    """
    if dataset.train is None:
        raise UsageError(
            f"{dataset.name} has only test images: a threshold chosen on them would look better than it is"
        )
    labels = dataset.train.labels
    unseen: npt.NDArray[np.intp] | None = None
    for card in cards:
        training = card.training
        if training is None or not is_trained_on(training, dataset):
            said = "what it was trained on isn't recorded" if training is None else f"trained on {training.dataset}"
            if has_name(training, dataset.name):
                said += " with other images than there are now"
            say(f"{card.name}: {said}, so that it may or may not have seen images of {dataset.title}")
            continue
        own = validation_images(labels, training, card.name)
        unseen = own if unseen is None else np.intersect1d(unseen, own)
    if unseen is None:
        _, unseen = split_images(labels, _SHARE, seed=0)
    if len(unseen) < LEAST_IMAGES:
        raise UsageError(
            f"only {len(unseen)} images of {dataset.name} were held back from both trainings, {LEAST_IMAGES} are "
            "needed: train both networks with the same --seed, so that they hold back the same ones"
        )
    return unseen
