"""The network that fit() trains, compiled as the recipe says, and the one that is left of it for inference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras

from export.errors import UsageError
from export.sources.keras_file import compute_in_float32
from export.training.initial.initial_network import InitialNetwork
from export.training.mixed_precision import lower_precision
from export.training.objective.class_counts import ClassCounts
from export.training.objective.focal import FocalCrossentropy
from export.training.recipes.recipe import Recipe
from models.walk import walk_layers

if TYPE_CHECKING:
    from keras.optimizers import Optimizer as _Optimizer
else:
    _Optimizer = object


def compile_network(recipe: Recipe, initial: InitialNetwork) -> keras.Model:
    """Raises UsageError for best_by = "top5" where there are no more than five classes."""
    model, optimizer = initial.build(), _optimizer(recipe)
    if recipe.mixed_precision:
        optimizer = lower_precision(model, optimizer)
    compile_for(recipe, initial, model, optimizer)
    return model


def compile_for(
    recipe: Recipe, initial: InitialNetwork, model: keras.Model, optimizer: keras.optimizers.Optimizer
) -> None:
    """Give a network the recipe's loss and metrics. A checkpoint's own are those of the convserve that wrote it."""
    loss: Any = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=recipe.label_smoothing)
    if recipe.focal_gamma:
        loss = FocalCrossentropy(recipe.focal_gamma, recipe.label_smoothing)
    weights = None
    several = isinstance(model.output, dict)
    metrics: Any = choose_metrics(recipe, (model.output["logits"] if several else model.output).shape[-1])
    if several:
        loss, metrics = {name: loss for name in model.output}, {"logits": metrics}
        weights = {name: initial.auxiliary.get(name, 1.0) for name in model.output}
    # XLA gains nothing on a CPU under TensorFlow, and compiles for long.
    jit = False if keras.backend.backend() == "tensorflow" else "auto"
    model.compile(optimizer, loss, loss_weights=weights, metrics=metrics, jit_compile=jit)


def inference_network(model: keras.Model) -> keras.Model:
    """The trained network in float32, without auxiliary heads and optimizer."""
    compute_in_float32(model)
    for layer in walk_layers(model):
        layer.trainable = True  # what was frozen is a matter of this training alone
    return keras.Model(model.input, model.output["logits"]) if isinstance(model.output, dict) else model


def _optimizer(recipe: Recipe) -> keras.optimizers.Optimizer:
    rate = recipe.learning_rate
    common: dict[str, Any] = {
        "weight_decay": recipe.weight_decay or None,
        "global_clipnorm": recipe.clip_norm or None,
        "use_ema": recipe.ema > 0,
        "ema_momentum": recipe.ema,
    }
    match recipe.optimizer:
        case "adam":
            return keras.optimizers.Adam(rate, **common)
        case "adamw":
            return keras.optimizers.AdamW(rate, **common)
        case "sgd":
            plain = {"momentum": recipe.momentum, "nesterov": recipe.nesterov, **common}
            return DecayedSGD(rate, l2=recipe.l2, **plain) if recipe.l2 else keras.optimizers.SGD(rate, **plain)
        case "rmsprop":
            inception = {"rho": 0.9, "momentum": recipe.momentum, "epsilon": 1.0, **common}
            if recipe.l2:
                return DecayedRMSprop(rate, l2=recipe.l2, **inception)
            return keras.optimizers.RMSprop(rate, **inception)


class _Decayed(_Optimizer):  # type: ignore[misc]  # Keras has no types
    """Adds `l2` times the variable to each gradient, after clipping: weight decay as papers up to 2017 mean it."""

    def __init__(self, *args: Any, l2: float, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.l2 = l2

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        decay = keras.ops.multiply(keras.ops.convert_to_tensor(variable), self.l2)
        super().update_step(keras.ops.add(gradient, decay), variable, learning_rate)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "l2": self.l2}


@keras.saving.register_keras_serializable(package="convserve")
class DecayedSGD(_Decayed, keras.optimizers.SGD):  # type: ignore[misc]  # Keras has no types
    """keras.optimizers.SGD with `l2`."""


@keras.saving.register_keras_serializable(package="convserve")
class DecayedRMSprop(_Decayed, keras.optimizers.RMSprop):  # type: ignore[misc]  # Keras has no types
    """keras.optimizers.RMSprop with `l2`."""


def choose_metrics(recipe: Recipe, classes: int) -> list[keras.metrics.Metric]:
    """What is counted of every epoch. Raises UsageError where the best is to be told by a figure that isn't there."""
    if classes > 5:
        return [ClassCounts(classes), keras.metrics.TopKCategoricalAccuracy(5, name="top5")]
    if recipe.best_by == "top5":
        raise UsageError(f'best_by = "top5" is for more than five classes, there are {classes}: set another figure')
    return [ClassCounts(classes)]
