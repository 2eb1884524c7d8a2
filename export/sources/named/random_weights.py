"""Fitting a network without trained weights to real activations, so that a proof on it can find errors.

As they come, random networks are almost uniform: a BGR swap moves ResNet50's probabilities by 5e-5, VGG16's by 1e-6.
A He-initialized resnet1001 with fresh statistics overflows in inference mode. And deep networks are chaotic: an input
changed by 1e-6 moves resnet101's logits by 1e-3, so that two right summations differ more than a wrong one.
"""

from __future__ import annotations

import keras
import numpy as np
import numpy.typing as npt

from export.errors import ConversionError
from export.graph.grouped_convolution import true_grouped_convolutions
from export.report.calibration import softmax
from models.depth import deep_recursion
from models.walk import walk_layers

WANTED = (0.2, 0.95)
# Low in that range, because rounding grows with the factor.
AIM = 0.25


def fit_random_weights(model: keras.Model, prepared: npt.NDArray[np.float32]) -> None:
    """Calm the network, give batch normalization the statistics of `prepared` [n, h, w, c], scale the last layer.

    Afterwards the median top-1 probability lies in 0.2..0.95. Raises ConversionError where no factor does that, or
    where the network ends in neither a dense layer nor a 1x1 convolution.
    """
    last = _last_product(model)
    with true_grouped_convolutions(), deep_recursion():
        _calm(model)
        _fit_statistics(model, prepared)
        outputs = keras.ops.convert_to_numpy(model(prepared, training=False))
    values = np.asarray(outputs, np.float64)
    if (
        values.min() >= 0 and np.abs(values.sum(axis=1) - 1).max() < 1e-3
    ):  # a softmax's: its logits, up to a constant per row
        values = np.log(np.maximum(values, np.finfo(np.float32).tiny))
    factor = _find_factor(values)
    last.set_weights([weight * factor for weight in last.get_weights()])


def _calm(model: keras.Model) -> None:
    """Keep rounding from growing without limit over the depth, in one of two ways.

    With shortcuts: the last layer of each of n residual branches is divided by sqrt(n), as Zhang et al. 2019 (Fixup)
    and De and Smith 2020 (SkipInit) begin. Without: normalized values are shifted by 1, so that ReLU cuts 16 % of them
    and not half, and a layer multiplies a disturbance by 1.06 and not by 1.21 (the square root of
    P(x > 0) / Var(relu(x)) for x of mean 1 or 0), which makes a difference at Inception v4's 75 layers.
    """
    walked = list(walk_layers(model))
    sums = [layer for layer in walked if isinstance(layer, keras.layers.Add)]
    if not sums:
        for layer in walked:
            if isinstance(layer, keras.layers.BatchNormalization) and layer.center:
                layer.beta.assign(keras.ops.ones_like(layer.beta))
    for layer in sums:
        chains = sorted((_chain(tensor) for tensor in layer.input), key=len)
        if len(chains) == 2 and len(chains[0]) < len(chains[1]):  # the shorter is the shortcut
            last = chains[1][0]
            scaled = [weight / len(sums) ** 0.5 for weight in last.get_weights()[:2]]  # kernel or gamma, bias or beta
            last.set_weights([*scaled, *last.get_weights()[2:]])


def _chain(tensor: keras.KerasTensor) -> list[keras.layers.Layer]:
    """The layers with weights from a tensor back to the sum before it (or the input), the last one first."""
    found: list[keras.layers.Layer] = []
    while True:
        layer = tensor._keras_history.operation
        if isinstance(layer, keras.layers.Add | keras.layers.InputLayer):
            return found
        if hasattr(layer, "kernel") or hasattr(layer, "gamma"):
            found.append(layer)
        tensor = layer.input[0] if isinstance(layer.input, list) else layer.input


def _fit_statistics(model: keras.Model, prepared: npt.NDArray[np.float32]) -> None:
    """One pass in training mode with momentum 0: each moving mean and variance becomes that of this batch."""
    normalizations = [layer for layer in walk_layers(model) if isinstance(layer, keras.layers.BatchNormalization)]
    if not normalizations:
        return
    momenta = [layer.momentum for layer in normalizations]
    for layer in normalizations:
        layer.momentum = 0.0
    try:
        model(prepared, training=True)
    finally:
        for layer, momentum in zip(normalizations, momenta, strict=True):
            layer.momentum = momentum


def _last_product(model: keras.Model) -> keras.layers.Dense | keras.layers.Conv2D:
    """The layer that gives the logits: dense, or a convolution of single positions (MobileNet)."""
    products = [layer for layer in walk_layers(model) if isinstance(layer, keras.layers.Dense | keras.layers.Conv2D)]
    last = products[-1] if products else None
    if (
        last is None
        or last.activation not in (keras.activations.linear, keras.activations.softmax)
        or (isinstance(last, keras.layers.Conv2D) and last.kernel_size != (1, 1))
    ):
        raise ConversionError(
            f"{model.name} doesn't end in a dense layer or 1x1 convolution of logits or softmax: random weights can't "
            "be fitted, give --weights"
        )
    return last


def _find_factor(logits: npt.NDArray[np.float64]) -> float:
    """The factor on logits [n, classes] that brings the median top-1 probability to AIM, by bisection."""

    def median(exponent: float) -> float:
        return float(np.median(softmax(logits * 10.0**exponent).max(axis=1)))

    low, high = -30.0, 30.0
    if not np.isfinite(logits).all():
        raise ConversionError("random weights overflow: there are outputs that are not finite; give --weights")
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if median(middle) < AIM else (low, middle)
    if not WANTED[0] <= median(high) <= WANTED[1]:
        raise ConversionError(
            f"the random network gives every class the same output (median top-1 {median(high):.3f} at any scale): "
            "a proof with it would prove nothing, give --weights"
        )
    return float(10.0**high)
