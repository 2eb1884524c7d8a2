"""How a network is trained, as frozen values that a person can read; the recipes that the project ships, by name."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Literal

from export.errors import UsageError, near_miss
from export.training.augmentation import Augmentation

Option = str | int | float | bool | None


@dataclass(frozen=True)
class Recipe:
    """One training, complete: the same recipe, data and seed give the same network."""

    network: str
    dataset: str
    epochs: int
    batch_size: int = 128
    optimizer: Literal["adam", "sgd", "rmsprop"] = "adam"
    learning_rate: float = 1e-3
    schedule: Literal["constant", "cosine", "one-cycle"] = "cosine"
    """cosine falls to zero; one-cycle climbs from a 25th for 30 % of the steps, then falls (Smith 2018)."""
    momentum: float = 0.9
    weight_decay: float = 0.0
    label_smoothing: float = 0.0
    augmentation: Augmentation = field(default_factory=Augmentation)
    validation_share: float = 0.1
    patience: int = 10
    """Stop when validation accuracy has not risen for this many epochs."""
    mixed_precision: bool = False
    options: dict[str, Option] = field(default_factory=dict)
    """Arguments of the network's build, such as width."""

    @property
    def model_name(self) -> str:
        return f"{self.network}-{self.dataset}"

    def summary(self) -> dict[str, Option]:
        """Flat, for the card: defaults of the augmentation and the empty options are left out."""
        flat = asdict(self)
        augmentation, options = flat.pop("augmentation"), flat.pop("options")
        flat.update({f"augmentation.{key}": value for key, value in augmentation.items() if value})
        flat.update({f"options.{key}": value for key, value in options.items()})
        return flat

    def rate_at(self, step: int, steps: int) -> float:
        """The learning rate at an optimizer step of `steps`."""
        if self.schedule == "constant":
            return self.learning_rate
        done = min(step / max(steps, 1), 1.0)
        if self.schedule == "cosine":
            return self.learning_rate * 0.5 * (1 + math.cos(math.pi * done))
        rise = 0.3
        if done < rise:
            return self.learning_rate * (0.04 + 0.96 * 0.5 * (1 - math.cos(math.pi * done / rise)))
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * (done - rise) / (1 - rise)))


RECIPES: dict[str, Recipe] = {
    # The embedded default of `make serve`: under a minute on two cores, with data that scikit-learn bundles.
    # Strokes are redrawn at random, since 1,437 scanned digits look unlike what people draw with a mouse.
    "quickstart": Recipe(
        network="lenet5",
        dataset="digits",
        epochs=30,
        batch_size=64,
        learning_rate=2e-3,
        augmentation=Augmentation(rotate=10, zoom=0.1, sharpness=True),
        patience=30,
    ),
    "lenet5-mnist": Recipe(
        network="lenet5",
        dataset="mnist",
        epochs=20,
        learning_rate=2e-3,
        augmentation=Augmentation(rotate=10, zoom=0.1),
        patience=20,
    ),
    "lenet5-fashion-mnist": Recipe(
        network="lenet5", dataset="fashion-mnist", epochs=20, learning_rate=2e-3, augmentation=Augmentation(flip=True)
    ),
    # The listing's own initial values (deviation 0.1) start from losses in the hundreds, and Keras' defaults never
    # leave 11 % without batch normalization; He normal with a small, falling rate learns from the first step.
    "vgg11_series-mnist": Recipe(
        network="vgg11_series",
        dataset="mnist",
        epochs=3,
        batch_size=64,
        learning_rate=2e-4,
        augmentation=Augmentation(crop_padding=2),
    ),
    # A quarter of the paper's width, so that two cores train it: 16-32-64-128 channels.
    "resnet18-fashion-mnist": Recipe(
        network="resnet18",
        dataset="fashion-mnist",
        epochs=10,
        optimizer="sgd",
        learning_rate=0.2,
        schedule="one-cycle",
        weight_decay=2e-3,
        augmentation=Augmentation(flip=True, crop_padding=2),
        options={"width": 16},
    ),
    "resnet18-cifar10": Recipe(
        network="resnet18",
        dataset="cifar10",
        epochs=30,
        optimizer="sgd",
        learning_rate=0.3,
        schedule="one-cycle",
        weight_decay=2e-3,
        label_smoothing=0.05,
        augmentation=Augmentation(flip=True, crop_padding=4),
        patience=30,
        options={"width": 16},
    ),
    "googlenet-fashion-mnist": Recipe(
        network="googlenet",
        dataset="fashion-mnist",
        epochs=6,
        optimizer="sgd",
        learning_rate=0.1,
        schedule="one-cycle",
        weight_decay=1e-3,
        augmentation=Augmentation(flip=True, crop_padding=2),
        options={"width": 0.125, "batch_normalization": True, "auxiliary": False},
    ),
    "se_resnet50-fashion-mnist": Recipe(
        network="se_resnet50",
        dataset="fashion-mnist",
        epochs=14,
        optimizer="sgd",
        learning_rate=0.1,
        schedule="one-cycle",
        weight_decay=1e-3,
        augmentation=Augmentation(flip=True, crop_padding=2),
        options={"width": 8},
    ),
}


def find_recipe(name: str) -> Recipe:
    """The recipe called `name`. Raises UsageError naming the nearest."""
    if name not in RECIPES:
        raise UsageError(f"unknown recipe {name!r}{near_miss(name, RECIPES)}: there are {', '.join(RECIPES)}")
    return RECIPES[name]


def fine_tuning_recipe(network: str, dataset: str, *, freeze: bool) -> Recipe:
    """A few epochs over photos; trained weights move slowly, a new head on frozen ones may move fast."""
    known = AUGMENTATIONS.get(dataset)
    return Recipe(
        network=network,
        dataset=dataset,
        epochs=5,
        batch_size=32,
        learning_rate=1e-3 if freeze else 1e-4,
        augmentation=Augmentation(flip=known.flip if known is not None else True),
        patience=5,
    )


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
    for name, recipe in RECIPES.items():
        if (recipe.network, recipe.dataset) == (network, dataset):
            return name, recipe
    rate = 1e-4 if network.startswith(UNNORMALIZED) else 1e-3
    augmentation = AUGMENTATIONS.get(dataset, PHOTOS)
    batch = 128 if dataset in AUGMENTATIONS else 32
    recipe = Recipe(network, dataset, epochs=20, batch_size=batch, learning_rate=rate, augmentation=augmentation)
    return "the defaults of its data set", recipe
