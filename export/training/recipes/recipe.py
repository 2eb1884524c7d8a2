"""A recipe as a frozen value. Its fields' docstrings are the only place that says what they mean: help and docs show
them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from artifact.card import RecipeValue
from artifact.errors import near_miss
from export.errors import UsageError
from export.training.augmentation import Augmentation

Option = str | int | float | bool | None
OFF = ("augmentation.", "preprocessing", "weights")
"""Keys, or how they begin, that a summary leaves out where they are off."""


@dataclass(frozen=True)
class Recipe:
    """One training, complete: the same recipe, data and seed give the same network.

    `make_recipe` checks types and limits, of the nested parts too.
    """

    __pydantic_config__ = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)

    network: str
    """A name from `convserve-export networks` or of keras.applications; of a file or a run, its own name."""
    dataset: str
    """A data set's name, or that of the folder or file that it is."""
    epochs: Annotated[int, Field(ge=1)]
    """How often every training image is seen."""
    weights: str = ""
    """What the training begins with: imagenet, a file or a run; empty for random weights."""
    freeze: bool = False
    """Train only what `weights` don't bring: the new head."""
    preprocessing: Literal["", "tf", "caffe", "torch", "unit", "none"] = ""
    """How pixels are prepared where --preprocessing, --mean and --std don't say it; empty: by mean and standard
    deviation of the training images. Initial values of a fixed standard deviation belong to one scale of pixels."""
    batch_size: Annotated[int, Field(ge=1)] = 128
    """Images per optimizer step."""
    optimizer: Literal["adam", "adamw", "sgd", "rmsprop"] = "adam"
    """adamw is adam with a weight_decay; rmsprop has epsilon 1, as Inception's papers do."""
    learning_rate: Annotated[float, Field(ge=0)] = 1e-3
    """The largest learning rate of the schedule."""
    schedule: Literal["constant", "cosine", "one-cycle", "step", "multistep", "plateau"] = "cosine"
    """cosine falls to zero; one-cycle climbs from a 25th for 30 % of the steps, then falls (Smith 2018); the last three
    multiply the rate by `decay_rate`, at times that `decay_epochs` and `decay_milestones` say."""
    decay_rate: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Of the schedules step, multistep and plateau."""
    decay_epochs: Annotated[float, Field(gt=0)] = 30.0
    """step: the epochs from one cut to the next. plateau: the epochs without a rise of validation accuracy before a
    cut.
    """
    decay_milestones: tuple[Annotated[float, Field(gt=0)], ...] = ()
    """multistep: the epochs after which the rate is cut, such as [30, 60]."""
    warmup_epochs: Annotated[float, Field(ge=0)] = 0.0
    """Epochs in which the rate climbs from zero before the schedule begins (Goyal et al. 2017); not with one-cycle,
    which climbs itself."""
    warmup_rate: Annotated[float, Field(ge=0)] = 0.0
    """Above zero: the warm-up's rate, which then doesn't climb (He et al. 2016 on CIFAR)."""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Of sgd and rmsprop."""
    nesterov: bool = True
    """Whether sgd's momentum is Nesterov's; the papers of the series have the plain one."""
    l2: Annotated[float, Field(ge=0)] = 0.0
    """This many times the weight is added to each weight's gradient, before the momentum of sgd or rmsprop: what the
    papers up to 2017 call weight decay. Momentum makes it 1 / (1 - momentum) times as strong as weight_decay."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """This times the learning rate is the share of itself that every weight loses at each step, apart from the
    gradient (Loshchilov and Hutter 2019)."""
    clip_norm: Annotated[float, Field(ge=0)] = 0.0
    """Gradients are scaled down where their norm over all weights is larger (Pascanu et al. 2013); 0: never."""
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """A moving average of the weights is validated and kept; at each step it keeps this share of itself: 0.999
    averages the last thousand steps; batch normalization gets the statistics that the average gives; 0: none."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """The share of the target that all classes divide evenly (Szegedy et al. 2015)."""
    class_weights: bool = False
    """The loss of an image is weighed by how rare its class is, so that every class counts the same."""
    balanced_sampling: bool = False
    """An epoch takes equally many images of every class: a part of the frequent ones, rare ones several times."""
    focal_gamma: Annotated[float, Field(ge=0)] = 0.0
    """The loss of an image is scaled by (1 - p)^gamma, p being its class's probability, so that easy ones count less
    (Lin et al. 2017: 2); 0: cross-entropy."""
    augmentation: Augmentation = field(default_factory=Augmentation)
    validation_share: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Of the training images: they choose the best epoch and calibrate the probabilities."""
    best_by: Literal["accuracy", "top5", "balanced_accuracy", "macro_f1", "loss"] = "accuracy"
    """The figure of the validation images that chooses the epoch which is kept; balanced_accuracy is the mean over
    classes of each one's accuracy, macro_f1 that of each one's F1; top5 is for more than five classes."""
    patience: Annotated[int, Field(ge=1)] = 10
    """Stop when what `best_by` names has not improved for this many epochs."""
    mixed_precision: bool = False
    """Compute in 16 bits where that is faster, keep weights in float32: in float16 on a GPU, in bfloat16 on a processor
    that multiplies in it (AVX512_BF16, AMX) under TensorFlow; elsewhere it changes nothing."""
    options: dict[str, Option] = field(default_factory=dict)
    """An argument of the network's build, such as width."""

    @property
    def model_name(self) -> str:
        return f"{self.network}-{self.dataset}"

    def flat(self) -> dict[str, RecipeValue]:
        """Every field by its key; those of the augmentation and the options behind a dot."""
        flat: dict[str, RecipeValue] = {}
        for key, value in asdict(self).items():
            flat.update(
                {f"{key}.{part}": of for part, of in value.items()} if isinstance(value, dict) else {key: value}
            )
        return {key: list(value) if isinstance(value, tuple) else value for key, value in flat.items()}

    def summary(self) -> dict[str, RecipeValue]:
        """For the card, whole: `make_recipe` reads it back. Augmentation that is off, random weights and measured
        arithmetic are left out, and what the weights' file or run is called stands for where it lay."""
        named = replace(self, weights=Path(self.weights).name).flat()
        return {key: value for key, value in named.items() if value or not key.startswith(OFF)}

    def rate_at(self, step: int, steps: int, accuracies: Sequence[float] = ()) -> float:
        """The learning rate at an optimizer step of `steps`, after epochs of these validation accuracies."""
        warmup = steps * self.warmup_epochs / self.epochs
        if step < warmup:
            return self.warmup_rate or self.learning_rate * (step + 1) / (warmup + 1)
        match self.schedule:
            case "constant":
                return self.learning_rate
            case "step":
                return self.learning_rate * self.decay_rate ** int(step * self.epochs / steps / self.decay_epochs)
            case "multistep":
                passed = sum(step * self.epochs / steps >= milestone for milestone in self.decay_milestones)
                return self.learning_rate * self.decay_rate**passed
            case "plateau":
                return self.learning_rate * self.decay_rate ** self._count_plateaus(accuracies)
        done = min((step - warmup) / max(steps - warmup, 1), 1.0)
        if self.schedule == "cosine":
            return self.learning_rate * 0.5 * (1 + math.cos(math.pi * done))
        rise = 0.3
        if done < rise:
            return self.learning_rate * (0.04 + 0.96 * 0.5 * (1 - math.cos(math.pi * done / rise)))
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * (done - rise) / (1 - rise)))

    def _count_plateaus(self, accuracies: Sequence[float]) -> int:
        best, since, plateaus = -1.0, 0, 0
        for accuracy in accuracies:
            best, since = (accuracy, 0) if accuracy > best else (best, since + 1)
            if since >= self.decay_epochs:
                since, plateaus = 0, plateaus + 1
        return plateaus


SCHEMA = TypeAdapter(Recipe)


def make_recipe(values: Mapping[str, Any], where: str = "") -> Recipe:
    """The recipe of flat `values`, as `Recipe.flat` and `Recipe.summary` give them; what is missing has its default.

    Raises UsageError naming `where`, the field, its value and what it may be.
    """
    recipe = check_values(values, where)
    changes = recipe.augmentation
    for wrong, complaint in (
        (
            recipe.optimizer == "adamw" and not recipe.weight_decay,
            'optimizer = "adamw" without a weight_decay is adam: set one, such as weight_decay=0.05',
        ),
        (
            recipe.warmup_epochs > 0 and recipe.schedule == "one-cycle",
            "warmup_epochs is for the other schedules: one-cycle climbs itself",
        ),
        (
            recipe.warmup_rate > 0 and not recipe.warmup_epochs,
            f"warmup_rate = {recipe.warmup_rate:g} without warmup_epochs is never used: set both",
        ),
        (
            (recipe.schedule == "multistep") != bool(recipe.decay_milestones),
            'schedule = "multistep" and decay_milestones belong together: set both, such as decay_milestones=[30,60]',
        ),
        (
            len(sides := recipe.augmentation.scale_jitter) == 1 or list(sides) != sorted(sides),
            f"augmentation.scale_jitter = {list(sides)}: give the least and the most of the "
            "shorter side, as [256, 512]",
        ),
        (
            recipe.l2 > 0 and recipe.optimizer not in ("sgd", "rmsprop"),
            f"l2 is for sgd and rmsprop: {recipe.optimizer} would cancel it: use weight_decay={recipe.l2:g}",
        ),
        (
            recipe.warmup_epochs >= recipe.epochs,
            f"warmup_epochs = {recipe.warmup_epochs:g} leaves none of {recipe.epochs} epochs: use fewer",
        ),
        (
            recipe.class_weights and recipe.balanced_sampling,
            "class_weights and balanced_sampling correct the same thing, both would favor rare classes: set one",
        ),
        (
            (changes.rand_augment > 0) != (changes.rand_augment_magnitude > 0),
            "rand_augment, how many operations, and rand_augment_magnitude, how strong they are, mean nothing without "
            "each other: set both, such as 2 and 9, or none",
        ),
    ):
        if wrong:
            raise UsageError(f"{where}: {complaint}" if where else complaint)
    return recipe


def check_values(values: Mapping[str, Any], where: str = "") -> Recipe:
    """Like make_recipe, but checks each value by itself, not the values together."""
    nested: dict[str, Any] = {}
    for key, value in values.items():
        table, dot, name = key.partition(".")
        if not dot:
            nested[key] = value
        elif isinstance(part := nested.setdefault(table, {}), dict):
            part[name] = value
    try:
        return SCHEMA.validate_json(json.dumps(nested, default=str))
    except ValidationError as error:
        first = error.errors()[0]
        complaint = _explain(".".join(map(str, first["loc"])), first["type"], first["msg"], first["input"])
        raise UsageError(f"{where}: {complaint}" if where else complaint) from error


def change(recipe: Recipe, changes: Iterable[tuple[str, Any]]) -> Recipe:
    """`recipe` with other values of the fields that `changes` name by their keys. Raises UsageError as make_recipe."""
    return make_recipe({**recipe.flat(), **dict(changes)})


def unknown_field(key: str, known: Iterable[str]) -> str:
    """The message about a key that recipes don't have."""
    return f"a recipe has no field {key!r}{near_miss(key, known)}: `convserve-export train --help` lists them"


def _explain(key: str, kind: str, message: str, value: Any) -> str:
    if kind == "unexpected_keyword_argument":
        return unknown_field(key, make_recipe({"network": "", "dataset": "", "epochs": 1}).flat())
    if kind == "missing":
        return f"a recipe must have the key {key}"
    return f"{key} = {json.dumps(value)} {message.replace('Input', '').strip()}"
