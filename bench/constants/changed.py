"""Another value for a constant of the service, in every process of a server that is started for it.

Python imports a module `sitecustomize` from PYTHONPATH before anything else, in the supervisor and in its workers
alike. So the service itself needs no switch, and its constants stay constants.
"""

from __future__ import annotations

from pathlib import Path

_SOURCE = """import importlib

for module, name, value in {changes!r}:
    setattr(importlib.import_module(module), name, value)
"""

Change = tuple[str, str, float]
"""A module, the name of a number in it, and the number to put there."""


def change(folder: Path, changes: list[Change]) -> Path:
    """Write the module into `folder`, which is to stand first in PYTHONPATH."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sitecustomize.py").write_text(_SOURCE.format(changes=changes), encoding="utf-8")
    return folder


def environment(folder: Path, root: Path) -> dict[str, str]:
    """The variables of a process in which the changes of `folder` count; `root` is the checkout."""
    return {"PYTHONPATH": f"{folder}:{root}"}
