from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from export.training.objective.focal import FocalCrossentropy

LOGITS = np.float32([[2, 0, -1], [0.5, 0.5, 3], [-4, 1, 1], [0, 0, 0]])
TARGETS = np.float32([[1, 0, 0], [0, 1, 0], [0.25, 0.75, 0], [0, 0, 1]])


def losses(loss: keras.losses.Loss, targets: Any = TARGETS, logits: Any = LOGITS) -> Any:
    return keras.ops.convert_to_numpy(loss.call(targets, keras.ops.convert_to_tensor(logits)))


@pytest.mark.parametrize("gamma", [0.5, 2.0, 5.0])
def test_the_loss_is_the_paper_s_formula(gamma: float) -> None:
    p = np.exp(LOGITS.astype(float))
    p /= p.sum(axis=1, keepdims=True)
    by_hand = [
        -((1 - p[0, 0]) ** gamma) * np.log(p[0, 0]),
        -((1 - p[1, 1]) ** gamma) * np.log(p[1, 1]),
        -0.25 * (1 - p[2, 0]) ** gamma * np.log(p[2, 0]) - 0.75 * (1 - p[2, 1]) ** gamma * np.log(p[2, 1]),
        (2 / 3) ** gamma * np.log(3),
    ]
    np.testing.assert_allclose(losses(FocalCrossentropy(gamma)), by_hand, rtol=1e-5)
    theirs = keras.losses.CategoricalFocalCrossentropy(alpha=1.0, gamma=gamma, from_logits=True, label_smoothing=0.1)
    np.testing.assert_allclose(losses(FocalCrossentropy(gamma, 0.1)), losses(theirs), rtol=1e-4)


def test_without_a_gamma_it_is_cross_entropy() -> None:
    theirs = keras.losses.CategoricalCrossentropy(from_logits=True)
    np.testing.assert_allclose(losses(FocalCrossentropy(0.0)), losses(theirs), rtol=1e-5)


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_the_surest_images_right_and_wrong_have_a_finite_gradient(gamma: float) -> None:
    """Of the wrong one it is that of cross-entropy, p - target: clipped at 1e-7 it would learn nothing."""
    logits = keras.Variable(np.float32([[60, 0, -60], [-60, 0, 60]]))
    targets = np.float32([[1, 0, 0], [1, 0, 0]])
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3, use_bias=False)])
    model.set_weights([keras.ops.convert_to_numpy(logits)])
    model.compile(keras.optimizers.SGD(1.0), FocalCrossentropy(gamma, reduction="sum"), jit_compile=False)
    model.train_on_batch(np.eye(2, dtype=np.float32), targets)
    step = keras.ops.convert_to_numpy(logits) - model.get_weights()[0]
    np.testing.assert_allclose(step, [[0, 0, 0], [-1, 0, 1]], atol=1e-5)


def test_it_is_read_back_as_it_was() -> None:
    loss = FocalCrossentropy(1.5, 0.1)
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert (again.gamma, again.label_smoothing) == (1.5, 0.1)
