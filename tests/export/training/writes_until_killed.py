"""A process that writes one checkpoint after another, each told from its epoch alone, until it is killed.

python -m tests.export.training.writes_until_killed FOLDER [MOMENT]: MOMENT is where it kills itself, in epoch 3.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import keras
import numpy as np

from export.training import checkpoint
from export.training.checkpoint import Checkpoint, State

MOMENTS = ("half a file is written", "the file has its name", "the state is written")


def fill(model: keras.Model, epoch: int) -> None:
    """Weights, and the optimizer's state, that only `epoch` has."""
    for place, variable in enumerate([*model.weights, *model.optimizer.variables]):
        if variable.dtype == "float32":
            variable.assign(np.random.default_rng([epoch, place]).standard_normal(variable.shape, np.float32))


def build() -> keras.Model:
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(300), keras.layers.Dense(3)])
    model.compile(keras.optimizers.Adam(), "mse")
    model.optimizer.build(model.trainable_variables)
    return model


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_at(moment: str) -> None:
    """Have the next write end there."""
    if moment == MOMENTS[0]:
        save = keras.Model.save

        def save_half(model: keras.Model, path: Path) -> None:
            save(model, path)
            os.truncate(path, path.stat().st_size // 2)
            die()

        keras.Model.save = save_half
    elif moment == MOMENTS[1]:
        checkpoint.replace_text = lambda path, text: die()
    else:
        Path.unlink = lambda path, missing_ok=False: die()  # type: ignore[method-assign]


def main() -> None:
    folder, *moment = sys.argv[1:]
    model, kept = build(), Checkpoint(Path(folder))
    for epoch in range(1, 100_000):
        fill(model, epoch)
        if moment and epoch == 3:
            die_at(moment[0])
        kept.write(model, State(epoch=epoch, best_epoch=epoch))
        print(epoch, flush=True)


if __name__ == "__main__":
    main()
