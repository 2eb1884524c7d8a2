"""What a wrong use of the command is."""

from __future__ import annotations

import argparse
from pathlib import Path

from artifact.stores.address import read_repository


class UsageError(Exception):
    """A command line or setting that can't be meant so."""


def repository(text: str) -> Path | str:
    """For argparse: a folder, or the address of a store."""
    try:
        return read_repository(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: {error}") from error
