"""The errors of the export stage. Each message is one line for the person at the terminal.

ExportError          exit status 1
├── UsageError       exit status 2: wrong arguments of the command
├── DataError        a data set is absent, damaged or doesn't fit
├── TrainingError    training can't go on
├── ConversionError  the network can't be expressed as the graph that the artifact promises
├── ProofError       the graph doesn't say what Keras says: nothing is published
└── PublishError     the artifact can't be written into the repository
"""

from __future__ import annotations

import re


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


def reason(error: BaseException) -> str:
    """What a library said first, whole and in one line.

    Without what libraries put around it: the places in the code that TensorFlow's tracing lists before it, Keras' list
    of a call's arguments behind it and the whole configuration of what it couldn't build, colors.
    """
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    if text.startswith("in user code:"):
        text = re.split(r'File "[^"]*", line \d+.*\n.*\n', text)[-1].strip().partition(": ")[2] or text
    text = text.partition("Arguments received by")[0].rpartition("Exception encountered: ")[2]
    text = " ".join(re.sub(r"\{.{200,}\}", "{...}", text, flags=re.DOTALL).split())
    return text if text and not isinstance(error, KeyError) else f"{type(error).__name__} {text}".strip()
