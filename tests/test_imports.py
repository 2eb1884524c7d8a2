"""The arrows of the house: which folder may know which. Read from the source, and once from a fresh process.

Imports inside functions and under TYPE_CHECKING count like any other.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.makers.sources import PACKAGES, ROOT, files_of, imports_of, packages, wing, wings_known

# From the roof down: a folder knows those on lower floors, not its neighbors, not those above.
FLOORS = {
    "app": (
        {"cli"},
        {"workers", "client"},
        {"main"},
        {"server"},
        {"grpc", "http"},
        {"admission"},
        {"catalog", "explain"},
        {"inference"},
        {"batching", "observe"},
    ),
    "export": (
        {"cli"},
        {"publish"},
        {"training", "proof"},
        {"sources"},
        {"graph"},
        {"data", "report"},
    ),
}
# What every floor may use, and what itself knows nothing of the house but each other.
GROUND = {
    "app": {"aliases", "child_process", "errors", "machine", "platforms", "runtime", "settings", "settings_sources"},
    "export": {"errors", "progress"},
}
# Which package may know which others.
MAY_KNOW = {
    "artifact": set(),
    "app": {"artifact"},
    "models": set(),
    "export": {"artifact", "models"},
}
HEAVY = {"tensorflow", "keras", "tf2onnx", "onnx", "sklearn", "scipy", "matplotlib"}
WEB = {"fastapi", "starlette", "uvicorn"}
GRPC = {"grpc", "grpc_reflection", "google"}  # of an extra
# Only these may import tensorflow; every other module of the export stage runs on any Keras backend.
TENSORFLOW = {
    "export/graph/from_keras.py",
    "export/graph/grouped_convolution.py",
    "export/graph/tf2onnx_patches.py",
    "export/sources/saved_model.py",
}
MOST_MODULES = 12


def title(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("package", MAY_KNOW)
def test_packages_know_only_those_below(package: str) -> None:
    for path in files_of(package):
        known = packages(path) & set(PACKAGES) - {package}
        assert known <= MAY_KNOW[package], title(path)


@pytest.mark.parametrize("package", FLOORS)
def test_wings_know_only_lower_floors(package: str) -> None:
    floor = {name: number for number, names in enumerate(FLOORS[package]) for name in names}
    for path in files_of(package):
        own = wing(path)
        if own in ("__init__", "__main__"):
            continue
        if own in GROUND[package]:
            assert wings_known(path) <= GROUND[package], title(path)
            continue
        assert own in floor, f"{title(path)} has no floor"
        for known in wings_known(path) - {own} - GROUND[package]:
            assert floor[known] > floor[own], f"{title(path)} knows {known}"


@pytest.mark.parametrize("package", ["app", "artifact", "export", "models"])
def test_no_two_modules_import_each_other(package: str) -> None:
    names = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in files_of(package)}
    known = {name: imports_of(path) & names.keys() for name, path in names.items()}
    left = dict(known)
    while leaves := [name for name, others in left.items() if not (others & left.keys())]:
        for name in leaves:
            del left[name]
    assert not left, f"in a circle: {', '.join(left)}"


@pytest.mark.parametrize("package", ["app", "export"])
def test_a_folder_can_be_read_at_a_glance(package: str) -> None:
    folders = {path.parent for path in files_of(package)}
    for folder in folders:
        modules = [path for path in folder.glob("*.py") if path.stem not in ("__init__", "__main__")]
        assert len(modules) <= MOST_MODULES, title(folder)


@pytest.mark.parametrize("path", [path for name in MAY_KNOW for path in files_of(name)], ids=title)
def test_every_folder_says_what_it_owns_and_imports_nothing_for_it(path: Path) -> None:
    assert (path.parent / "__init__.py").exists()
    if path.name == "__init__.py":
        assert ast.get_docstring(ast.parse(path.read_text()))
        assert imports_of(path) == ({"os"} if title(path) == "export/__init__.py" else set())


@pytest.mark.parametrize("path", files_of("app"), ids=title)
def test_the_serving_stage_knows_no_training_package(path: Path) -> None:
    assert not packages(path) & HEAVY


@pytest.mark.parametrize("path", files_of("artifact"), ids=title)
def test_the_contract_knows_no_runtime_and_no_web_framework(path: Path) -> None:
    assert not packages(path) & (HEAVY | WEB | {"onnxruntime"})


@pytest.mark.parametrize("path", files_of("models"), ids=title)
def test_definitions_are_pure_keras(path: Path) -> None:
    assert not packages(path) & {"tensorflow", "torch", "jax"}


@pytest.mark.parametrize("path", files_of("export"), ids=title)
def test_only_conversion_imports_tensorflow(path: Path) -> None:
    if title(path) not in TENSORFLOW:
        assert not packages(path) & {"tensorflow", "tf2onnx"}


@pytest.mark.parametrize("path", files_of("app/batching"), ids=title)
def test_the_batcher_knows_no_http_and_no_onnx(path: Path) -> None:
    assert not packages(path) & (WEB | {"onnxruntime"})


@pytest.mark.parametrize("path", [*files_of("app/inference"), *files_of("app/admission")], ids=title)
def test_sessions_and_admission_know_no_web_framework(path: Path) -> None:
    assert not packages(path) & WEB


@pytest.mark.parametrize("path", files_of("app"), ids=title)
def test_only_the_folder_grpc_imports_grpc(path: Path) -> None:
    if path.parent.name == "grpc":
        assert not packages(path) & WEB
    else:
        assert not packages(path) & GRPC


def test_the_error_tree_knows_no_web_framework() -> None:
    assert not packages(ROOT / "app/errors.py") & WEB


def test_serving_in_a_fresh_process_loads_no_training_package() -> None:
    loaded = load_afresh("app.main", "app.cli.main")
    assert "fastapi" in loaded
    assert not loaded & (HEAVY | GRPC | {"models", "export"})


def test_the_supervisor_waits_for_nothing_that_only_its_workers_need() -> None:
    loaded = load_afresh("app.cli.main", "app.workers.supervisor")
    assert "pydantic" in loaded
    assert not loaded & {"fastapi", "starlette", "uvicorn", "onnxruntime", "numpy", "PIL"}


def load_afresh(*modules: str) -> set[str]:
    """The packages that a fresh process has loaded once it has imported `modules`."""
    code = f"import sys, {', '.join(modules)}; print(*sorted({{m.partition('.')[0] for m in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(done.stdout.split())
