"""The run folder: what a training leaves behind, and all that `convert RUN` needs.

model.keras          the network of the best epoch, without optimizer state (written when training is over)
run.json             this module's Run: network, labels, image policy, recipe, seed, data set, calibration
checkpoint/          state.json and the .keras of the last and the best epoch: what a killed training resumes from
tensorboard/         event files, where `train --log tensorboard` was said; mlflow.txt: the id of the MLflow run
report/              curves.png, confusion.png, reliability.png, metrics.json
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from artifact.card import Provenance, RecipeValue
from artifact.documents import Document, read_document
from artifact.errors import ArtifactError
from artifact.figures.evaluation import Evaluation
from export.errors import DataError, TrainingError

RUN_FILE = "run.json"
KERAS_FILE = "model.keras"


class Run(Provenance, Document):
    """run.json. The parts that training finds out are None until it is over."""

    model_name: str
    dataset: str
    data_dir: str | None
    """Where the data set was found, so that `convert` finds it again."""
    split: str
    """How its training and test images were told apart."""
    seed: int
    recipe: dict[str, RecipeValue]
    evaluation: Evaluation | None = None
    """Of the Keras network; the card's is of the graph."""


def read_run(folder: Path) -> Run:
    """The record of the run in `folder`. Raises DataError where it is no run folder, or a newer convserve wrote it."""
    try:
        return read_document(Run, folder / RUN_FILE, "a training's record")
    except FileNotFoundError as error:
        raise DataError(f"{folder} is not a run folder: it has no {RUN_FILE}") from error
    except ArtifactError as error:
        raise DataError(f"{folder}: {error}") from error


def trained_file(folder: Path) -> Path:
    """The network of a run folder. Raises DataError where the training isn't finished."""
    file = folder / KERAS_FILE
    if not file.exists():
        raise DataError(f"{folder}: this training is not finished (no {KERAS_FILE}): run the same train command again")
    return file


def write_run(folder: Path, run: Run) -> None:
    replace_text(folder / RUN_FILE, run.model_dump_json(indent=1) + "\n")


def replace_text(path: Path, text: str) -> None:
    """Write a file so that a reader finds the old or the new one, never part of one."""
    with half_written(path.with_name(f"{path.name}.part")) as part:
        part.write_text(text, encoding="utf-8")
        os.replace(part, path)


@contextlib.contextmanager
def half_written(part: Path) -> Iterator[Path]:
    """Gives the name of a file to write and then to move into place; whatever goes wrong, it doesn't stay."""
    try:
        yield part
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def disk_in_a_line(folder: Path) -> Iterator[None]:
    """A disk that is full or refuses becomes one line; HDF5 says it by a RuntimeError now and then."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        if not isinstance(error, OSError) and "space left" not in str(error):
            raise
        reason = getattr(error, "strerror", None) or str(error).strip().partition("\n")[0]
        raise TrainingError(
            f"{folder}: {reason}: the training stopped, its last whole checkpoint is kept; free some space, and "
            "the same command continues"
        ) from error
