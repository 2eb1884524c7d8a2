"""Data sets that aren't there: what Keras may download, and what is said where it can't."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from export.errors import DataError
from export.progress import say

T = TypeVar("T")


def download(fetch: Callable[[], T], name: str, home: Path | None, what: str, files: str) -> T:
    """What `fetch` gives, since `home` isn't there. Raises DataError with the cause, and where to lay the `files`."""
    where = f"{home} is not there" if home is not None else "no --data-dir or CONVSERVE_DATA_DIR was given"
    say(f"{name}: {where}; downloading it")
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # Keras' own progress
            return fetch()
    except Exception as error:
        raise DataError(
            f"{name}: {where}, and {what} could not be downloaded ({_find_cause(error)}): "
            f"put {files} into {home or f'<data dir>/{name}'}/"
        ) from error


def _find_cause(error: BaseException) -> str:
    """Why a download failed, in a line: Keras wraps the network's own error in a plain Exception."""
    while inner := error.__cause__ or error.__context__:
        error = inner
    reason = getattr(error, "strerror", None) or getattr(error, "reason", None) or str(error)
    return str(reason).strip().partition("\n")[0] or type(error).__name__
