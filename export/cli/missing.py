"""What to install where a command needs a package that isn't there."""

from __future__ import annotations

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


def find_extra(error: ModuleNotFoundError) -> str | None:
    """The extra that brings what can't be imported; None for what no extra does."""
    return EXTRAS.get((error.name or "").partition(".")[0])
