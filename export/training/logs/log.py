"""What a log of a training takes, and `--log KIND[:FOLDER]`, which says where one goes."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from artifact.errors import near_miss
from export.errors import UsageError
from export.sources.run_folder import Run


class Log(Protocol):
    """An epoch's row is what checkpoint/state.json has of it: `epoch`, from 1, and figures by their Keras names.

    `begin` comes before the first epoch of a training, new or resumed; `finish` after the last.
    """

    def begin(self, run: Run, history: Sequence[Mapping[str, float]]) -> None:
        """The recipe as parameters; of `history`, the rows of the epochs that are over, what isn't there yet."""
        ...

    def add_epoch(self, row: Mapping[str, float]) -> None: ...

    def finish(self, run: Run, report: Path) -> None:
        """The figures on test images, `test_` before their names in the card, and the report's files."""
        ...


@dataclass(frozen=True)
class LogWord:
    kind: str
    place: Path | None
    """FOLDER, where it was said."""

    def open(self, run_folder: Path) -> Log:
        return _KINDS[self.kind].open(self.place, run_folder)


def read_log(text: str) -> LogWord:
    """KIND[:FOLDER]. Raises UsageError for an unknown kind, and where its package isn't installed."""
    name, _, place = text.partition(":")
    if name not in _KINDS:
        raise UsageError(f"--log {text}{near_miss(name, _KINDS)}: there are {', '.join(_KINDS)}")
    kind = _KINDS[name]
    try:
        importlib.import_module(kind.module)
    except ImportError as error:
        raise UsageError(
            f"--log {name} needs {kind.package}, which can't be imported ({error}): install the extra log "
            "(pip install '.[log]')"
        ) from error
    return LogWord(name, Path(place) if place else None)


def final_figures(run: Run) -> dict[str, float]:
    """What `finish` logs of a finished run's evaluation."""
    assert run.evaluation is not None
    return {f"test_{name}": value for name, value in run.evaluation if isinstance(value, float)}


@dataclass(frozen=True)
class _Kind:
    package: str
    module: str
    """Of ours; it imports the package."""
    name: str

    def open(self, place: Path | None, run_folder: Path) -> Log:
        make: Callable[[Path | None, Path], Log] = getattr(importlib.import_module(self.module), self.name)
        return make(place, run_folder)


_KINDS = {
    "tensorboard": _Kind("tensorboardX", "export.training.logs.tensorboard", "TensorBoardLog"),
    "mlflow": _Kind("mlflow-skinny", "export.training.logs.mlflow_store", "MlflowLog"),
}
