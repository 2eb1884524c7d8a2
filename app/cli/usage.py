"""What a wrong use of the command is."""

from __future__ import annotations


class UsageError(Exception):
    """A command line or setting that can't be meant so."""
