"""Where the export extra isn't installed: a line that names it, and a command that needs nothing of it works."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from export.cli.missing import EXTRAS, explain_missing
from tests.makers.artifacts import make_artifact
from tests.makers.sources import ROOT

COMMANDS = {
    "networks": ("networks",),
    "build": ("build", "quickstart", "--repository", "other"),
    "train": ("train", "lenet5", "--dataset", "digits"),
    "convert": ("convert", "pets.keras", "--name", "pets", "--repository", "other"),
    "adopt": ("adopt", "pets.onnx", "--labels", "labels.txt", "--repository", "other"),
    "time": ("time", "lenet5"),
    "evaluate": ("evaluate", "tiny", "--dataset", "digits", "--repository", "repository"),
    "cascade": ("cascade", "tiny", "tiny", "--dataset", "digits", "--accuracy", "0.9"),
    "verify": ("verify", "tiny", "--repository", "repository"),
    "pack": ("pack", "tiny", "--repository", "repository"),
}
# All commands in one process to which the extra's packages can't be imported.
RUN_ALL = f"""
import contextlib, io, json, sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {sorted(EXTRAS.keys() - {"onnxruntime"})}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
from export.cli.main import main

found = {{}}
for command, words in {COMMANDS}.items():
    with contextlib.redirect_stderr(io.StringIO()) as said, contextlib.redirect_stdout(io.StringIO()):
        found[command] = main(list(words)), said.getvalue()
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, str]]:
    """The exit status of each command, and what it wrote to standard error."""
    folder = tmp_path_factory.mktemp("without-extra")
    make_artifact(folder / "repository")
    command = [sys.executable, "-P", "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{RUN_ALL}"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
    assert done.returncode == 0, done.stderr
    return {command: tuple(result) for command, result in json.loads(done.stdout).items()}


@pytest.mark.parametrize("command", sorted(COMMANDS.keys() - {"pack"}))
def test_a_command_without_its_packages_names_the_extra(found: dict[str, tuple[int, str]], command: str) -> None:
    status, said = found[command]
    last = said.splitlines()[-1]
    assert status == 2
    assert last.startswith(f"convserve-export: {command} needs ")
    assert last.endswith(", which is not installed: install the extra export (pip install '.[export]')")


def test_a_command_that_needs_none_of_them_works(found: dict[str, tuple[int, str]]) -> None:
    assert found["pack"] == (0, "")


def test_the_packages_are_those_of_the_extra() -> None:
    extra = tomllib.loads(Path(ROOT, "pyproject.toml").read_text())["project"]["optional-dependencies"]["export"]
    named = {line.partition(">")[0].removesuffix("-cpu") for line in extra}
    imported = {package for package, extra in EXTRAS.items() if extra == "export"}
    assert {"scikit-learn" if package == "sklearn" else package for package in imported} == named


@pytest.mark.parametrize("minor", [11, 13, 14])
def test_where_the_extra_brings_no_tensorflow_another_python_is_named(minor: int) -> None:
    extra = tomllib.loads(Path(ROOT, "pyproject.toml").read_text())["project"]["optional-dependencies"]["export"]
    here = {"python_version": f"3.{minor}"}
    lines = map(Requirement, extra)
    there = {one.name.removesuffix("-cpu") for one in lines if not one.marker or one.marker.evaluate(here)}
    for package in ("keras", "tensorflow", "tf2onnx"):
        brought = package in there
        assert brought == (minor < 14)
        assert explain_missing(ModuleNotFoundError(name=package), "export", (3, minor)) == (
            f"{package}, which is not installed: install the extra export (pip install '.[export]')"
            if brought
            else f"TensorFlow, which has no release for Python 3.{minor}: use Python 3.11 to 3.13"
        )
