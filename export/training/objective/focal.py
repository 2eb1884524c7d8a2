"""Focal loss (Lin et al. 2017), from logits."""

from __future__ import annotations

from typing import Any

import keras

_LEAST = 1e-7


@keras.saving.register_keras_serializable(package="convserve")
class FocalCrossentropy(keras.losses.Loss):  # type: ignore[misc]  # Keras has no types
    """The sum over classes of -target (1 - p)^gamma log p, for targets [batch, classes] and logits.

    keras.losses.CategoricalFocalCrossentropy clips p at 1e-7: an image that is as wrong as that gives it no gradient.
    """

    def __init__(self, gamma: float, label_smoothing: float = 0.0, name: str = "focal", **others: Any) -> None:
        super().__init__(name=name, **others)
        self.gamma, self.label_smoothing = gamma, label_smoothing

    def call(self, y_true: Any, y_pred: Any) -> Any:
        logarithm = keras.ops.log_softmax(y_pred, axis=-1)
        # Below one, the gradient of a power is infinite at zero.
        wrong = keras.ops.maximum(1 - keras.ops.exp(logarithm), _LEAST)
        target = y_true * (1 - self.label_smoothing) + self.label_smoothing / y_pred.shape[-1]
        return -keras.ops.sum(target * wrong**self.gamma * logarithm, axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "gamma": self.gamma, "label_smoothing": self.label_smoothing}
