"""The repository's own files, and what they import."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("artifact", "app", "models", "export", "bench", "deploy")


@cache
def imports_of(path: Path) -> frozenset[str]:
    """Every module that a file imports, at its top or inside a function."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return frozenset(found)


def files_of(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def packages(path: Path) -> set[str]:
    """The packages that a file imports from, ours and others'."""
    return {name.partition(".")[0] for name in imports_of(path)}


def packages_needed(package: str) -> set[str]:
    """A package of ours with those that it can't be imported without, near or far."""
    needed: set[str] = set()
    waiting = {package}
    while waiting:
        needed.add(name := waiting.pop())
        waiting |= {known for path in files_of(name) for known in packages(path)} & set(PACKAGES) - needed
    return needed


def wing(path: Path) -> str:
    """The part of its package that a file belongs to: a folder, or a module that stands for itself."""
    return path.relative_to(ROOT).with_suffix("").parts[1]


def wings_known(path: Path) -> set[str]:
    """The wings of its own package that a file imports from."""
    package = path.relative_to(ROOT).parts[0]
    return {name.split(".")[1] for name in imports_of(path) if name.startswith(f"{package}.")}


def tracked_files(folders: Iterable[str] = ()) -> list[str]:
    """The files that git knows, as paths from the root; those removed but not yet committed are left out.

    Skips the test where the sources came without git.
    """
    if not (ROOT / ".git").exists():
        pytest.skip("the sources are no git checkout: which files belong to it can't be told")
    done = subprocess.run(["git", "ls-files", "-z", *folders], cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in done.stdout.split("\0") if name and (ROOT / name).exists()]
