"""The state file: keeps aliases and shadows set at run time over a restart. Written whole or not at all; doesn't know
what they mean.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from artifact.json import read_json

_FORMAT = 1


def read_state(file: Path) -> dict[str, Any]:
    """What was written; empty if there is no file. Raises ValueError, which says what to do, if it can't be read."""
    try:
        written = read_json(file.read_bytes())
    except FileNotFoundError:
        if not file.parent.is_dir():
            raise ValueError(f"the folder of state_file, {file.parent}, does not exist: create it") from None
        return {}
    except OSError as error:
        raise ValueError(f"state_file {file} can't be read: {error.strerror}") from error
    except ValueError as error:
        raise ValueError(
            f"state_file {file} is not JSON: repair it, or delete it to start without the saved aliases"
        ) from error
    if not isinstance(written, dict) or not isinstance(written.get("format"), int):
        raise ValueError(f"state_file {file} is not a state file of convserve: choose another file, or delete it")
    if written["format"] > _FORMAT:
        raise ValueError(f"state_file {file} was written by a newer convserve (format {written['format']}): update")
    return written


def write_state(file: Path, state: dict[str, Any]) -> None:
    """Replace the file. Raises OSError; then the file is as before."""
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with draft.open("w", encoding="utf-8") as stream:
            json.dump({"format": _FORMAT, **state}, stream, indent=1)
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)
