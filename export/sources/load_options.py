"""How to open what is to be converted, timed or trained on: what the command line says beside its name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from export.sources.user_code import Definitions


@dataclass(frozen=True)
class LoadOptions:
    """How to open what `convert` is given."""

    weights: str | None = None
    """imagenet, or a file; for networks by name."""
    signature: str | None = None
    code: Path | None = None
    unsafe: bool = False

    def definitions(self) -> Definitions | None:
        """Runs --code."""
        return Definitions(self.code) if self.code is not None else None
