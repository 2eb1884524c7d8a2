"""The figures of an epoch, and which epoch is kept by them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from artifact.image_policy import ImagePolicy
from export.data.preprocessing import preset
from export.data.samples import ArraySamples
from export.errors import UsageError
from export.report.figures import WORDS
from export.training.batches import Batches
from export.training.callbacks import Epochs, make_row
from export.training.checkpoint import Checkpoint, State
from export.training.recipes.recipe import Recipe

BATCHES = Batches(
    ArraySamples(np.zeros((2, 1, 1, 1), np.uint8), [0, 1]),
    np.arange(2),
    2,
    ImagePolicy(height=1, width=1, channels=1),
    preset("unit", 1),
    2,
)
RECIPE = Recipe("small", "made up", epochs=9, patience=2)

# Of two classes with 90 and 10 images: right and called, and the loss of four epochs.
EPOCHS = [
    ((90, 0), (100, 0), 0.5),  # most accurate
    ((70, 10), (70, 30), 0.4),  # balanced best
    ((84, 5), (89, 11), 0.7),  # macro F1 best
    ((70, 6), (74, 26), 0.1),  # least loss
]


def logs(epoch: int) -> dict[str, Any]:
    right, called, loss = EPOCHS[epoch]
    counts = np.float32([right, (90, 10), called])
    return {"loss": 1.0, "class_counts": counts, "val_loss": loss, "val_class_counts": counts}


def compiled() -> keras.Model:
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


class _Kept(Checkpoint):
    """Writes nothing."""

    def write(self, model: keras.Model, state: State) -> None:
        return


@pytest.mark.parametrize(("best_by", "best"), [("accuracy", 1), ("balanced_accuracy", 2), ("macro_f1", 3), ("loss", 4)])
def test_the_kept_epoch_is_the_best_by_the_recipe_s_figure(best_by: Any, best: int, tmp_path: Path) -> None:
    state = State()
    epochs = Epochs(replace(RECIPE, best_by=best_by, patience=9), state, _Kept(tmp_path), BATCHES)
    epochs.set_model(compiled())
    for epoch in range(4):
        epochs.on_epoch_end(epoch, logs(epoch))
    assert state.best_epoch == best
    assert state.best_accuracy == state.history[best - 1]["val_accuracy"]
    assert state.best_loss == state.history[best - 1]["val_loss"]


def test_patience_waits_for_that_figure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = State()
    epochs = Epochs(replace(RECIPE, best_by="balanced_accuracy"), state, _Kept(tmp_path), BATCHES)
    epochs.set_model(compiled())
    for epoch in range(4):
        epochs.on_epoch_end(epoch, logs(epoch))
    assert epochs.model.stop_training
    said = capsys.readouterr().err
    assert "no better validation balanced accuracy for 2 epochs" in said
    assert "validation loss 0.4000, accuracy 80.00%, balanced accuracy 88.89%, macro F1 68.75% *" in said


def test_equal_figures_are_decided_by_the_loss(tmp_path: Path) -> None:
    state = State()
    epochs = Epochs(replace(RECIPE, best_by="macro_f1"), state, _Kept(tmp_path), BATCHES)
    epochs.set_model(compiled())
    for epoch, loss in enumerate((0.5, 0.4, 0.6)):
        epochs.on_epoch_end(epoch, {**logs(0), "val_loss": loss})
    assert state.best_epoch == 2


def test_a_row_has_every_figure_that_there_is() -> None:
    row = make_row(1, {**logs(1), "val_top5": 0.75, "top5": 0.5})
    assert row.keys() == {"epoch", "loss", "accuracy"} | {f"val_{name}" for name in WORDS}
    assert row["val_top5"] == 0.75
    assert "val_top5" not in make_row(1, logs(1))
    several = {f"logits_{key}".replace("logits_val_", "val_logits_"): value for key, value in logs(1).items()}
    assert make_row(1, {**several, "auxiliary_class_counts": 0, "val_auxiliary_loss": 9}) == make_row(1, logs(1))


def test_top5_cannot_choose_among_five_classes() -> None:
    from export.training.compiled import choose_metrics

    recipe = replace(RECIPE, best_by="top5")
    with pytest.raises(UsageError, match='best_by = "top5" is for more than five classes, there are 5'):
        choose_metrics(recipe, 5)
    assert [metric.name for metric in choose_metrics(recipe, 6)] == ["class_counts", "top5"]
