"""ONNX Runtime's converters: their package puts its own folder on sys.path, where a user's `models` would be found."""

from __future__ import annotations

import importlib
import sys
from importlib.util import find_spec
from types import ModuleType


def load_tool(name: str) -> ModuleType:
    """`onnxruntime.NAME`, with sys.path as before: its own folder stands there while it is loaded, and no longer.

    Its modules import each other by bare names, and its package adds the folder only when first loaded.
    """
    path = list(sys.path)
    package = find_spec("onnxruntime.transformers")  # loads onnxruntime, not yet the package
    folders = package.submodule_search_locations if package else None
    sys.path.extend(folders or ())
    try:
        return importlib.import_module(f"onnxruntime.{name}")
    finally:
        sys.path[:] = path
