"""The command line's options for opening a network that is to be converted, timed or trained."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from export.sources.user_code import Definitions


@dataclass(frozen=True)
class LoadOptions:
    """How to open the network."""

    weights: str | None = None
    """imagenet, or a file; for networks by name."""
    signature: str | None = None
    code: Path | None = None
    unsafe: bool = False

    def definitions(self) -> Definitions | None:
        """Runs --code."""
        return Definitions(self.code) if self.code is not None else None
