"""The container engine as a command, and a check that prints what it found."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ENGINE = os.environ.get("DOCKER", "docker")
PROJECT = "convserve-smoke"

_started = time.monotonic()


class Failed(Exception):
    """A check of the smoke test that failed; its text says what was expected and what was found."""


def engine(
    *words: str, timeout: float = 900, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the engine, with these variables beside those of this process; standard error comes with standard output."""
    return subprocess.run(
        [ENGINE, *words],
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
    )


def compose(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return engine("compose", "--project-name", PROJECT, *words, environment=environment)


def need(result: subprocess.CompletedProcess[str]) -> str:
    """The output of a command that has to work."""
    if result.returncode:
        raise Failed(f"{' '.join(result.args)} ended with {result.returncode}:\n{result.stdout[-3000:]}")
    return result.stdout.strip()


def check(fact: str, holds: bool, found: object = "") -> None:
    """Print a fact that holds; raise Failed with what was found where it doesn't."""
    if not holds:
        raise Failed(f"this does not hold: {fact}; found: {found}")
    say(f"ok: {fact}")


def say(text: str) -> None:
    print(f"smoke {time.monotonic() - _started:4.0f}s: {text}", file=sys.stderr, flush=True)
