"""Output: the folder of a run, one Parquet file for each block. Its files are complete, and all of the same run.

One process has it open and writes; the workers send it their results.
"""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any, Self

_RUN, _LOCK, _UNFINISHED = "_run.json", "_lock", ".unfinished"  # names that readers of Parquet folders pass over


class OutputError(Exception):
    """A folder that this run can't write to; the text says why, and what to do."""


class Output:
    """Use as a context manager. `run` holds everything that determines the answers, ready for JSON; a folder that was
    begun with another `run` is refused.
    """

    def __init__(self, folder: Path, run: dict[str, object]) -> None:
        self.folder = folder
        self._run = run

    def __enter__(self) -> Self:
        """Raises OutputError."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = (self.folder / _LOCK).open("w", encoding="utf-8")
        except OSError as error:
            raise OutputError(f"{self.folder} can't be written: {error.strerror}") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._check_run()
        except BlockingIOError as error:
            self._lock.close()
            raise OutputError(
                f"another run is writing to {self.folder}: wait for it, or name another folder"
            ) from error
        except OutputError:
            self._lock.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.close()

    @staticmethod
    def read_version(folder: Path) -> int | None:
        """The version of the model that the folder's run was begun with; None if the folder has no run. Raises
        OutputError.
        """
        run = _read_run(folder)
        return None if run is None else run["version"]

    def has(self, block: str) -> bool:
        """Whether the answers of a block are there."""
        return self._path(block).is_file()

    def write(self, block: str, content: bytes) -> None:
        """Write a block's answers: atomically, and on the disk when this returns. Raises OutputError."""
        self._replace(self._path(block), content)

    def _check_run(self) -> None:
        before = _read_run(self.folder)
        if before is None:
            if any(self.folder.glob("*.parquet")):
                raise OutputError(f"{self.folder} holds Parquet files of something else: name another folder")
            self._replace(self.folder / _RUN, json.dumps(self._run, indent=1).encode())
            return
        for name in {**before, **self._run}:
            if (was := before.get(name)) != (now := self._run.get(name)):
                raise OutputError(
                    f"{self.folder} was begun with another {name} ({was}, now {now}): name another folder, or delete it"
                )

    def _path(self, block: str) -> Path:
        return self.folder / f"{block}.parquet"

    def _replace(self, path: Path, content: bytes) -> None:
        unfinished = self.folder / _UNFINISHED
        try:
            with unfinished.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(path)
        except OSError as error:
            raise OutputError(f"{self.folder} can't be written: {error.strerror}") from error


def _read_run(folder: Path) -> dict[str, Any] | None:
    """What a folder's run is determined by; None where none was begun. Raises OutputError."""
    path = folder / _RUN
    try:
        if not path.is_file():
            return None
        run = json.loads(path.read_bytes())
        if isinstance(run, dict) and isinstance(run.get("version"), int):
            return run
        reason = "it doesn't name the version"
    except (OSError, ValueError) as error:
        reason = str(error)
    raise OutputError(f"{path} can't be read ({reason}): name another folder, or delete {folder}")
