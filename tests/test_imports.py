"""The import rules: which folder may know which. Read from the source, and once from a fresh process."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
# Only these may import tensorflow; every other module of the export stage runs on any Keras backend.
TENSORFLOW = {"export/convert.py", "export/grouped.py", "export/savedmodel.py", "export/tf2onnx_at_work.py"}
HEAVY = {"tensorflow", "keras", "tf2onnx", "onnx", "sklearn", "scipy", "matplotlib"}


def imports_of(path: Path) -> set[str]:
    """Every module that a file imports, at its top or inside a function."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def files_of(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def packages(path: Path) -> set[str]:
    return {name.partition(".")[0] for name in imports_of(path)}


def title(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", files_of("app"), ids=title)
def test_the_serving_stage_knows_neither_networks_nor_export(path: Path) -> None:
    assert not packages(path) & (HEAVY | {"models", "export"})


@pytest.mark.parametrize("path", files_of("models"), ids=title)
def test_definitions_are_pure_keras(path: Path) -> None:
    assert not packages(path) & {"tensorflow", "torch", "jax", "app", "export"}


@pytest.mark.parametrize("path", files_of("export"), ids=title)
def test_the_export_stage_shares_only_card_images_and_errors_with_the_serving_stage(path: Path) -> None:
    shared = {name for name in imports_of(path) if name.partition(".")[0] == "app"}
    allowed = ("artifact.card", "artifact.images.decode", "app.errors")
    assert all(name.startswith(allowed) for name in shared)


@pytest.mark.parametrize("path", files_of("export"), ids=title)
def test_only_conversion_imports_tensorflow(path: Path) -> None:
    if title(path) not in TENSORFLOW:
        assert not packages(path) & {"tensorflow", "tf2onnx"}


def test_the_batcher_knows_no_http_and_no_onnx() -> None:
    assert not packages(ROOT / "app/batching.py") & {"fastapi", "starlette", "uvicorn", "onnxruntime"}


def test_the_session_knows_no_web_framework() -> None:
    assert not packages(ROOT / "app/session.py") & {"fastapi", "starlette", "uvicorn"}


def test_the_error_tree_knows_no_web_framework() -> None:
    assert not packages(ROOT / "app/errors.py") & {"fastapi", "starlette", "uvicorn"}


def test_serving_in_a_fresh_process_loads_no_training_package() -> None:
    loaded = load_afresh("app.main", "app.cli")
    assert "fastapi" in loaded
    assert not loaded & (HEAVY | {"models", "export"})


def test_the_supervisor_waits_for_nothing_that_only_its_workers_need() -> None:
    loaded = load_afresh("app.cli", "app.supervisor")
    assert "pydantic" in loaded
    assert not loaded & {"fastapi", "starlette", "uvicorn", "onnxruntime", "numpy", "PIL"}


def load_afresh(*modules: str) -> set[str]:
    """The packages that a fresh process has loaded once it has imported `modules`."""
    code = f"import sys, {', '.join(modules)}; print(*sorted({{m.partition('.')[0] for m in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(done.stdout.split())
