"""What to do where a command needs a package that isn't there."""

from __future__ import annotations

import sys

EXTRAS = {
    "keras": "export",
    "matplotlib": "export",
    "onnx": "export",
    "onnxruntime": "cpu",
    "pyarrow": "export",
    "sklearn": "export",
    "tensorflow": "export",
    "tf2onnx": "export",
}
"""Packages by the names that they are imported by, and the extra of pyproject.toml that brings each."""
WITHOUT_TENSORFLOW = (3, 14)
"""The first Python that TensorFlow has no release for."""

# What pyproject.toml leaves out of the extra there: nothing that is done with these works without TensorFlow.
_OF_TENSORFLOW = ("keras", "tensorflow", "tf2onnx")


def find_extra(error: ModuleNotFoundError) -> str | None:
    """The extra that brings what can't be imported; None for what no extra does."""
    return EXTRAS.get(_find_package(error))


def explain_missing(error: ModuleNotFoundError, extra: str, python: tuple[int, ...] = sys.version_info[:2]) -> str:
    """What is missing, and how to get it, as the end of a sentence."""
    if _find_package(error) in _OF_TENSORFLOW and python >= WITHOUT_TENSORFLOW:
        newest, here = WITHOUT_TENSORFLOW[1] - 1, ".".join(map(str, python))
        return f"TensorFlow, which has no release for Python {here}: use Python 3.11 to 3.{newest}"
    return f"{error.name}, which is not installed: install the extra {extra} (pip install '.[{extra}]')"


def _find_package(error: ModuleNotFoundError) -> str:
    return (error.name or "").partition(".")[0]
