"""Starting TensorFlow without its chatter, which would bury the progress of the first minute."""

from __future__ import annotations

import logging
import os

from export.cli.missing import find_extra
from export.errors import UsageError


def load_keras() -> None:
    """Import Keras and its backend with the process's standard error turned off, and take channels to be last.

    TensorFlow's C++ side writes there before any of its log levels is read. Raises ModuleNotFoundError where Keras or
    TensorFlow isn't installed, UsageError where another backend isn't that KERAS_BACKEND or keras.json names.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # Several trainings in a process would each be told of as needless tracing: every network has its own functions.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        import keras
    except ModuleNotFoundError as error:
        if find_extra(error):
            raise
        raise UsageError(_explain(error)) from error
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
    # keras.json may say otherwise; a file's layers hold their own format, and networks by name are made for the last.
    keras.config.set_image_data_format("channels_last")


def _explain(error: ModuleNotFoundError) -> str:
    backend = os.environ.get("KERAS_BACKEND")
    where = f"KERAS_BACKEND={backend}" if backend else f"the backend of {os.environ.get('KERAS_HOME', '~/.keras')}"
    return f"{where} needs {error.name}, which is not installed: install it, or unset the backend for TensorFlow"
