"""Starting TensorFlow without its chatter, which would bury the progress of the first minute."""

from __future__ import annotations

import os


def load_keras() -> None:
    """Import Keras and its backend with the process's standard error turned off.

    TensorFlow's C++ side writes there before any of its log levels is read. What it raises is raised here as well.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        import keras  # noqa: F401
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
