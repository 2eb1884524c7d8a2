"""What happens around Keras' own steps: learning rate, progress, checkpoint, early stop, watch on the loss."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any

import keras

from export.errors import TrainingError
from export.progress import Progress, format_seconds, say
from export.report.figures import WORDS, accuracy, balanced_accuracy, macro_f1
from export.training.batches import Batches
from export.training.checkpoint import Checkpoint, State
from export.training.logs.log import Log
from export.training.recipes.recipe import Recipe


def is_over(state: State, recipe: Recipe) -> bool:
    """Whether all epochs are done or validation shows no progress any more."""
    return state.epoch >= recipe.epochs or state.epoch - state.best_epoch >= recipe.patience


class Epochs(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Carries `state` through a training on `batches`, and writes the checkpoint after each epoch."""

    def __init__(
        self, recipe: Recipe, state: State, checkpoint: Checkpoint, batches: Batches, logs: Sequence[Log] = ()
    ) -> None:
        super().__init__()
        self.recipe, self.state, self.checkpoint, self.batches, self.logs = recipe, state, checkpoint, batches, logs
        self.steps = len(batches)
        self.waiting = 0.0
        """The share of this epoch's time in which a step waited for its batch."""
        self._waited = self._idle_since = 0.0
        self._progress: Progress | None = None
        self._began = self._first = time.monotonic()
        self._resumed_at = self._epoch = state.epoch
        self._accuracies: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self._epoch, self._began = epoch, time.monotonic()
        self.batches.begin(epoch)
        self._accuracies = [row["val_accuracy"] for row in self.state.history]
        self._waited, self._idle_since = 0.0, self._began
        self._progress = Progress(f"epoch {epoch + 1}/{self.recipe.epochs}", self.steps, "batches")

    def on_train_batch_begin(self, batch: int, logs: dict[str, float] | None = None) -> None:
        step = self._epoch * self.steps + batch
        steps = self.recipe.epochs * self.steps
        self.model.optimizer.learning_rate = self.recipe.rate_at(step, steps, self._accuracies)

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        loss = (logs or {})["loss"]
        self._refuse_unless_finite("loss", loss)
        # A step ends where its loss is known; the next one waits from there until its batch is ready, if it isn't yet.
        now = time.monotonic()
        self._waited += max(0.0, float(self.batches.ready[batch]) - self._idle_since)
        self._idle_since, self.waiting = now, self._waited / (now - self._began)
        assert self._progress is not None
        self._progress.advance(note=f"loss {loss:.4f}, {self.waiting:.0%} waiting for data,")

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        row, state = make_row(epoch + 1, logs or {}), self.state
        self._refuse_unless_finite("validation loss", row["val_loss"])
        row["learning_rate"] = float(self.model.optimizer.learning_rate)
        state.epoch, state.seconds = epoch + 1, state.seconds + time.monotonic() - self._began
        state.history.append(row)
        before = state.history[state.best_epoch - 1] if state.best_epoch else None
        better = before is None or _rank(row, self.recipe) > _rank(before, self.recipe)
        if better:
            state.best_epoch, state.best_accuracy, state.best_loss = state.epoch, row["val_accuracy"], row["val_loss"]
        # Before the checkpoint: an epoch that is logged and lost is done again, one that is kept is never missing.
        for log in self.logs:
            log.add_epoch(row)
        self.checkpoint.write(self.model, state)
        done = state.epoch - self._resumed_at
        left = (time.monotonic() - self._first) / done * (self.recipe.epochs - state.epoch)
        shares = ", ".join(
            f"{words} {row[key]:.2%}"
            for name, words in WORDS.items()
            if name != "loss" and (key := f"val_{name}") in row
        )
        say(
            f"  epoch {state.epoch}/{self.recipe.epochs}: loss {row['loss']:.4f}, accuracy {row['accuracy']:.2%}, "
            f"validation loss {row['val_loss']:.4f}, {shares}{' *' if better else ''}, "
            f"{self.waiting:.0%} waiting for data, {format_seconds(left)} left"
        )
        if is_over(state, self.recipe) and state.epoch < self.recipe.epochs:
            say(f"  stopped: no better validation {WORDS[self.recipe.best_by]} for {self.recipe.patience} epochs")
            self.model.stop_training = True

    def _refuse_unless_finite(self, what: str, loss: float) -> None:
        if not math.isfinite(loss):
            raise TrainingError(
                f"the {what} became {loss} in epoch {self._epoch + 1}: lower the learning rate "
                f"(it is {self.recipe.learning_rate:g}) with --learning-rate, into another folder (--out); "
                "the earlier epochs are kept"
            )


def make_row(epoch: int, logs: dict[str, Any]) -> dict[str, float]:
    """The figures of an epoch; with auxiliary heads, all but the loss are those of the logits."""
    values = {key.replace("logits_", ""): value for key, value in logs.items() if "auxiliary" not in key}
    trained, validated = (keras.ops.convert_to_numpy(values[f"{side}class_counts"]) for side in ("", "val_"))
    row = {
        "loss": values["loss"],
        "accuracy": accuracy(trained),
        "val_loss": values["val_loss"],
        "val_accuracy": accuracy(validated),
        "val_balanced_accuracy": balanced_accuracy(validated),
        "val_macro_f1": macro_f1(validated),
    }
    if "val_top5" in values:
        row["val_top5"] = values["val_top5"]
    return {"epoch": epoch, **{key: round(float(value), 5) for key, value in row.items()}}


def _rank(row: dict[str, float], recipe: Recipe) -> tuple[float, float]:
    """The larger, the better. Few validation images often tie; the loss decides then."""
    loss = -row["val_loss"]
    return (loss if recipe.best_by == "loss" else row[f"val_{recipe.best_by}"], loss)
