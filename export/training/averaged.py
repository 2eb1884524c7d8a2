"""The average of a training's weights, and the statistics of batch normalization that belong to it.

Keras' optimizers average what they train. The moving means and variances of batch normalization stay those of the last
steps' weights, with which the averaged ones are a worse network than either. So they are estimated anew, on images that
are changed as the training changes them (Izmailov et al. 2018, Averaging Weights Leads to Wider Optima and Better
Generalization, section 3.2).
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from export.progress import say
from export.training.batches import Batches
from models.walk import walk_layers

_MOST_BATCHES = 50
"""Batches for the estimate: more would change it by less than the next epoch does."""

_MOST_LEFT = 0.05
"""The largest share (0 to 1) of the initial weights in an average that gets no warning."""


def tell_short_average(ema: float, steps: int) -> None:
    """Warn if, after `steps` steps, the average still holds a large part of the initial weights."""
    left = ema**steps if ema else 0.0
    if left > _MOST_LEFT:
        say(
            f"ema = {ema:g} averages about the last {1 / (1 - ema):,.0f} steps, this training has {steps:,}: "
            f"what is kept will be {left:.0%} of what it began with; set a smaller ema, or 0"
        )


def put_average(model: keras.Model, batches: Batches) -> None:
    """Set a compiled network's weights to the moving averages of its optimizer, and its batch normalization to their
    statistics on some of `batches`.
    """
    model.optimizer.finalize_variable_values(model.trainable_variables)
    estimate_statistics(model, batches)


def estimate_statistics(model: keras.Model, batches: Batches) -> None:
    """Have the moving means and variances of batch normalization be the means of those of the first `batches`, but
    where a frozen layer keeps its own.
    """
    layers = _normalizing(model)
    momenta = [layer.momentum for layer in layers]
    for index in range(min(len(batches), _MOST_BATCHES) if layers else 0):
        for layer in layers:
            layer.momentum = index / (index + 1)
        model(batches[index][0], training=True)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum


class ValidateAverage(keras.callbacks.SwapEMAWeights):  # type: ignore[misc]  # Keras has no types
    """Has validation see the average, as `put_average` makes it, and the checkpoint and the next step what they had."""

    def __init__(self, batches: Batches) -> None:
        super().__init__()
        self._batches = batches
        self._kept: list[npt.NDArray[np.float32]] = []

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        super().on_test_begin(logs)
        self._kept = [keras.ops.convert_to_numpy(variable) for variable in _statistics(self.model)]
        estimate_statistics(self.model, self._batches)

    def on_test_end(self, logs: dict[str, Any] | None = None) -> None:
        for variable, value in zip(_statistics(self.model), self._kept, strict=True):
            variable.assign(value)
        super().on_test_end(logs)


def _normalizing(model: keras.Model) -> list[keras.layers.BatchNormalization]:
    return [layer for layer in walk_layers(model) if isinstance(layer, keras.layers.BatchNormalization)]


def _statistics(model: keras.Model) -> list[keras.Variable]:
    return [variable for layer in _normalizing(model) for variable in (layer.moving_mean, layer.moving_variance)]
