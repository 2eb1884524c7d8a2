"""Chooses the images that are held back from training, in each class."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from artifact.card import Training
from export.errors import DataError


def hold_out(
    draws: npt.NDArray[np.float64], labels: npt.NDArray[np.int64], share: float, *, leave: int
) -> npt.NDArray[np.bool_]:
    """Which of n images to hold out, bool [n], by `draws` [n] in 0..1: those below `share`, corrected within each class
    of `labels` [n].

    A class holds out at least half of its share and at least one image, at most one and a half of its share, and leaves
    `leave` images (or, where it has no more than that, half of them). Correction takes the lowest draws. In classes of
    hundreds of images nothing is corrected, so that an image's side doesn't depend on the others.
    """
    held_out = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        count = len(members)
        most = min(max(1, round(1.5 * share * count)), max(count - leave, count // 2))
        least = min(max(1, math.floor(0.5 * share * count)), most)
        wanted = int(np.clip(np.count_nonzero(draws[members] < share), least, most))
        held_out[members[np.argsort(draws[members], kind="stable")[:wanted]]] = True
    return held_out


def split_images(
    labels: npt.NDArray[np.int64], validation_share: float, seed: int
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Indices of the images with these `labels` [n] to train on, and of those to validate on: a random share, of each
    class in proportion. Both ascend, and the same seed gives the same.
    """
    images = len(labels)
    draws = np.empty(images)
    draws[np.random.default_rng(seed).permutation(images)] = np.arange(images) / images
    held_out = hold_out(draws, labels, max(1, round(images * validation_share)) / images, leave=1)
    if not held_out.any():
        held_out[draws.argmin()] = True
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)


def validation_images(labels: npt.NDArray[np.int64], training: Training, trained: str) -> npt.NDArray[np.intp]:
    """Indices of the images that a recorded training on these `labels` [n] held back; `trained` is what it trained.

    Raises DataError where the set isn't as large as it was: another split may mix the two sides.
    """
    share = training.recipe["validation_share"] or 0
    assert isinstance(share, int | float)
    kept, held_back = split_images(labels, share, training.seed)
    if (len(kept), len(held_back)) != (training.images, training.validation_images):
        before = training.images + training.validation_images
        raise DataError(
            f"{training.dataset} has changed since {trained} was trained ({len(labels):,} training images now, "
            f"{before:,} then): its validation images are lost"
        )
    return held_back


def split_folds(labels: npt.NDArray[np.int64], folds: int, seed: int) -> list[npt.NDArray[np.intp]]:
    """Indices of `folds` parts of the images with these `labels` [n], each in order: together they hold every image
    once, and of each class equally many or one more.
    """
    order = np.random.default_rng(seed).permutation(len(labels))
    dealt = order[np.argsort(labels[order], kind="stable")]
    return [np.sort(dealt[fold::folds]) for fold in range(folds)]
