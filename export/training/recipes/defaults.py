"""What `train` does where nothing else is said: recipes for a pair of network and data set, and for trained weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from export.training.augmentation import Augmentation
from export.training.recipes.files import shipped_recipes
from export.training.recipes.recipe import Recipe


def fine_tuning_recipe(network: str, dataset: str, *, freeze: bool) -> Recipe:
    """A few epochs over photos, at a small learning rate for trained weights, a larger one for a new head alone."""
    known = AUGMENTATIONS.get(dataset)
    return Recipe(
        network=network,
        dataset=dataset,
        epochs=5,
        batch_size=32,
        learning_rate=1e-3 if freeze else 1e-4,
        augmentation=Augmentation(flip=known.flip if known is not None else True),
        patience=5,
        freeze=freeze,
    )


def further_recipe(recipe: Recipe, *, freeze: bool) -> Recipe:
    """For training a run further: its own recipe, with the epochs and the small learning rate of fine-tuning.

    Without the average of the weights: over so few steps it would stay near what they were at the first one.
    """
    tuned = fine_tuning_recipe(recipe.network, recipe.dataset, freeze=freeze)
    same = (
        "epochs",
        "optimizer",
        "l2",
        "learning_rate",
        "schedule",
        "decay_milestones",
        "warmup_epochs",
        "warmup_rate",
        "ema",
        "patience",
        "freeze",
    )
    return replace(recipe, **{name: getattr(tuned, name) for name in same})


# Fewer optimizer steps than this leave a new head where it began.
LEAST_STEPS = 300


def fit_to_size(recipe: Recipe, images: int, batch_size: int | None = None) -> Recipe:
    """Defaults for a set of few training images: small batches, and epochs enough for LEAST_STEPS optimizer steps.

    A batch holds a tenth of the images at most (2 at least), unless `batch_size` says otherwise.
    """
    batch = batch_size or min(recipe.batch_size, max(2, images // 10))
    steps = max(1, math.ceil(images / batch))
    epochs = max(recipe.epochs, math.ceil(LEAST_STEPS / steps))
    # Few validation images rise in accuracy by leaps: patience is a share of the epochs, as before.
    patience = max(recipe.patience, round(epochs * recipe.patience / recipe.epochs))
    return replace(recipe, batch_size=batch, epochs=epochs, patience=min(patience, epochs))


def show_characters(labels: Sequence[str]) -> bool:
    """Whether classes are named as digits or letters: their mirror image is no member, as of digits and mnist."""
    return all(len(label) == 1 for label in labels)


# What changes an image of each set without changing its class; photos of class folders take the last.
AUGMENTATIONS = {
    "digits": Augmentation(),
    "mnist": Augmentation(),
    "fashion-mnist": Augmentation(flip=True, crop_padding=2),
    "cifar10": Augmentation(flip=True, crop_padding=4),
    "cifar100": Augmentation(flip=True, crop_padding=4),
}
PHOTOS = Augmentation(flip=True, crop_padding=16, color=0.2)

# Networks without batch normalization leave their first plateau only at a small rate.
UNNORMALIZED = ("alexnet", "zfnet", "vgg", "googlenet")


def default_recipe(network: str, dataset: str) -> tuple[str, Recipe]:
    """What `train NETWORK --dataset D` does, and its name: the pair's own recipe, or sensible defaults."""
    for name, recipe in shipped_recipes():
        if (recipe.network, recipe.dataset) == (network, dataset):
            return name, recipe
    rate = 1e-4 if network.startswith(UNNORMALIZED) else 1e-3
    augmentation = AUGMENTATIONS.get(dataset, PHOTOS)
    batch = 128 if dataset in AUGMENTATIONS else 32
    recipe = Recipe(network, dataset, epochs=20, batch_size=batch, learning_rate=rate, augmentation=augmentation)
    return "the defaults of its data set", recipe
