"""ONNX Runtime's converters load in any order and leave sys.path as it was."""

from __future__ import annotations

import subprocess
import sys

import pytest

LOADS = """
import sys
before = list(sys.path)
from export.graph.precision.onnxruntime_tools import load_tool
for name in sys.argv[1:]:
    load_tool(name)
    assert sys.path == before, set(sys.path) - set(before)
"""
TOOLS = ["transformers.float16", "quantization"]


@pytest.mark.parametrize("order", [TOOLS, TOOLS[::-1]], ids=" then ".join)
def test_each_loads_after_the_other_and_leaves_the_path_alone(order: list[str]) -> None:
    """In a process of its own, as what is loaded once is never loaded again."""
    ended = subprocess.run(
        [sys.executable, "-c", LOADS, *order], capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 0, ended.stderr
