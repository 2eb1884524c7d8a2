"""What can go wrong on the way to an artifact. Each text is one line for the person at the terminal.

ExportError          exit status 1
├── UsageError       exit status 2: the words of the command are off
├── DataError        a data set is absent, damaged or doesn't fit
├── TrainingError    training can't go on
├── ConversionError  the network can't be expressed as the graph that the artifact promises
├── ProofError       the graph doesn't say what Keras says: nothing is published
└── PublishError     the repository refuses the artifact
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ExportError(Exception):
    exit_status = 1


class UsageError(ExportError):
    exit_status = 2


class DataError(ExportError):
    pass


class TrainingError(ExportError):
    pass


class ConversionError(ExportError):
    pass


class ProofError(ExportError):
    pass


class PublishError(ExportError):
    pass


def near_miss(word: str, known: Iterable[str]) -> str:
    """For the end of a complaint about an unknown word: the nearest known one as a question, else nothing."""
    near = difflib.get_close_matches(word, list(known), n=1)
    return f" (did you mean {near[0]}?)" if near else ""
