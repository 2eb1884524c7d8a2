"""The run folder: what a training leaves behind, and all that `convert RUN` needs.

model.keras          the network of the best epoch, without optimizer state (written when training is over)
run.json             this module's Run: network, labels, image policy, recipe, seed, data set, calibration
checkpoint/          state.json and the .keras of the last and the best epoch: what a killed training resumes from
report/              curves.png, confusion.png, reliability.png, metrics.json
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from app.card import (
    Calibration,
    Distribution,
    Evaluation,
    ImagePolicy,
    NetworkInfo,
    Part,
    Preprocessing,
    ScoreQuantiles,
    Training,
)
from export.errors import DataError

RUN_FILE = "run.json"
KERAS_FILE = "model.keras"


class Run(Part):
    """run.json. The parts that training finds out are None until it is over."""

    format: Literal[1] = 1
    model_name: str
    network: NetworkInfo
    labels: tuple[str, ...]
    image: ImagePolicy
    preprocessing: Preprocessing
    dataset: str
    data_dir: str | None
    """Where the data set was found, so that `convert` finds it again."""
    split: str
    """How its training and test images were told apart."""
    license: str
    seed: int
    recipe: dict[str, str | int | float | bool | None]
    training: Training | None = None
    evaluation: Evaluation | None = None
    calibration: Calibration | None = None
    score_quantiles: ScoreQuantiles | None = None
    distribution: Distribution | None = None


def read_run(folder: Path) -> Run:
    """Raises DataError where `folder` is no run folder."""
    try:
        return Run.model_validate_json((folder / RUN_FILE).read_bytes())
    except FileNotFoundError as error:
        raise DataError(f"{folder} is no run folder: it has no {RUN_FILE}") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise DataError(f"{folder / RUN_FILE}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def write_run(folder: Path, run: Run) -> None:
    replace_text(folder / RUN_FILE, run.model_dump_json(indent=1) + "\n")


def replace_text(path: Path, text: str) -> None:
    """Write a file so that a reader finds the old or the new one, never half."""
    part = path.with_name(f"{path.name}.part")
    part.write_text(text)
    os.replace(part, path)
