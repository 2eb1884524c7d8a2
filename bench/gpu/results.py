"""What a piece found, kept as JSON after every step, so that a piece goes on where it was stopped."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


class Results:
    """The steps of one piece by name: what each gave, or {"error": ...}. The file is exchanged whole."""

    def __init__(self, folder: Path, piece: str) -> None:
        self._path = folder / f"{piece}.json"
        self.steps: dict[str, dict[str, Any]] = {}
        begun = None
        if self._path.exists():
            kept = json.loads(self._path.read_text(encoding="utf-8"))
            self.steps, begun = kept["steps"], kept.get("begun")
        if begun is not None:  # a device that is lost takes its process along: not again by itself
            self.keep(begun, {"error": "the process ended in the midst of this step"})

    def is_done(self, step: str) -> bool:
        return step in self.steps

    def begin(self, step: str) -> None:
        self._write(begun=step)

    def keep(self, step: str, found: dict[str, Any]) -> None:
        self.steps[step] = found
        self._write()

    def forget(self, *, failed_only: bool = False) -> None:
        """Measure everything again, or only what failed."""
        self.steps = {name: found for name, found in self.steps.items() if failed_only and "error" not in found}
        self._write()

    def _write(self, begun: str | None = None) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        part = self._path.with_suffix(".part")
        part.write_text(json.dumps({"steps": self.steps, "begun": begun}, indent=1, allow_nan=False), encoding="utf-8")
        os.replace(part, self._path)
