"""What a killed training resumes from: the network and optimizer of the last epoch, the best epoch, the history."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import math
from collections.abc import Iterator
from pathlib import Path

import keras
from pydantic import BaseModel

from export.errors import UsageError
from export.progress import say
from export.sources.run_folder import disk_in_a_line, half_written, replace_text
from export.sources.user_code import Definitions


class State(BaseModel):
    """checkpoint/state.json: epochs are counted from 1; 0 means none yet."""

    epoch: int = 0
    best_epoch: int = 0
    best_accuracy: float = -1.0
    best_loss: float = math.inf
    seconds: float = 0.0
    history: list[dict[str, float]] = []
    images: str = ""
    """`DataSet.images_digest` of the training images; empty where an older convserve wrote it."""


# Of file systems that have no locks.
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


class Checkpoint:
    """The checkpoint folder of a run. state.json is replaced last, so it only ever names whole files."""

    def __init__(self, folder: Path, definitions: Definitions | None = None, *, unsafe: bool = False) -> None:
        """`unsafe` lets Lambda layers run the code that the files hold."""
        self.folder = folder
        self._definitions, self._unsafe = definitions, unsafe

    def read(self) -> State:
        try:
            return State.model_validate_json((self.folder / "state.json").read_bytes())
        except FileNotFoundError:
            return State()

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keep other trainings out. Raises UsageError where one is at work here, TrainingError where the disk refuses.

        By a lock that the system lets go of, however the process ends.
        """
        with contextlib.ExitStack() as stack:
            with disk_in_a_line(self.folder.parent):
                self.folder.mkdir(parents=True, exist_ok=True)
                file = stack.enter_context((self.folder / "lock").open("a", encoding="utf-8"))
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError as error:
                    raise UsageError(
                        f"another training is at work in {self.folder.parent}: wait for it, or name another folder "
                        "with --out"
                    ) from error
                except OSError as error:
                    if error.errno not in _NO_LOCKS:
                        raise
                    say(f"{self.folder.parent} can't be locked ({error.strerror}): start no second training there")
            yield

    def load(self, epoch: int, *, optimizer: bool = True) -> keras.Model:
        """The network after `epoch`, compiled with its optimizer's state unless told otherwise."""
        with self._definitions.scope() if self._definitions is not None else contextlib.nullcontext():
            return keras.models.load_model(self._file(epoch), compile=optimizer, safe_mode=not self._unsafe)

    def write(self, model: keras.Model, state: State) -> None:
        """Raises TrainingError where the disk refuses; then the checkpoint before is whole, and nothing else stays."""
        with disk_in_a_line(self.folder.parent):
            self.folder.mkdir(parents=True, exist_ok=True)
            with half_written(self.folder / "part.keras") as part:
                model.save(part)
                part.replace(self._file(state.epoch))
            replace_text(self.folder / "state.json", json.dumps(state.model_dump(), indent=1) + "\n")
        kept = {self._file(state.epoch), self._file(state.best_epoch)}
        for file in self.folder.glob("epoch-*.keras"):
            if file not in kept:
                file.unlink()

    def _file(self, epoch: int) -> Path:
        return self.folder / f"epoch-{epoch:04}.keras"
