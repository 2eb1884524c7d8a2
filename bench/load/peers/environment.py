"""Environments of the peers: made on demand with venv and pip, kept, made anew where their requirements changed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

READY = "requirements.txt"


class EnvironmentFailed(Exception):
    """A peer's packages can't be installed."""


def make_environment(folder: Path, requirements: Sequence[str]) -> Path:
    """Make a virtual environment in `folder` with these requirements, unless it has just them already. Returns the
    folder of its programs. Raises EnvironmentFailed with pip's last line."""
    programs, ready = folder / "bin", folder / READY
    wanted = "".join(f"{line}\n" for line in requirements)
    if ready.is_file() and ready.read_text(encoding="utf-8") == wanted:
        return programs
    print(f"installing {', '.join(requirements)} into {folder}", file=sys.stderr, flush=True)
    _run([sys.executable, "-m", "venv", "--clear", str(folder)])
    _run([str(programs / "python"), "-m", "pip", "install", "-q", "--disable-pip-version-check", *requirements])
    ready.write_text(wanted, encoding="utf-8")
    return programs


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith("ERROR")] or lines[-1:]
        raise EnvironmentFailed(errors[-1] if errors else f"{command[0]} ended with status {done.returncode}")
