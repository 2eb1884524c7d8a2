"""Starts another process of this package with the same Python and the same files, from any working directory."""

from __future__ import annotations

import os
import site
import sys
from collections.abc import Mapping
from pathlib import Path


def name_module(module: str, *words: str) -> list[str]:
    """The command that runs a module of this package.

    -P: a folder `app` where the command was given is the user's own, and no part of this service.
    """
    return [sys.executable, "-P", "-m", module, *words]


def find_ourselves(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment for such a command: where this package isn't installed it names the folder that it is in."""
    root = str(Path(__file__).parents[1])
    if root in (*site.getsitepackages(), site.getusersitepackages()):
        return dict(environment)
    others = environment.get("PYTHONPATH")
    return {**environment, "PYTHONPATH": os.pathsep.join([root, others] if others else [root])}
