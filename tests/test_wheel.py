"""The wheel holds what belongs in it, and serves: an editable install hides what a wheel lacks."""

from __future__ import annotations

import configparser
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.makers.artifacts import gray_image, make_artifact
from tests.makers.running_server import RunningServer
from tests.makers.sources import ROOT, tracked_files

VERSIONS = re.findall(r"Programming Language :: Python :: (3\.\d+)", (ROOT / "pyproject.toml").read_text())
SHIPPED = ("app", "artifact", "deploy", "export", "models")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the tracked files, copied away: a build/ left in the checkout would be packed too."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in tracked_files():
        copy = folder / "sources" / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, copy)
    words = ["wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", folder, folder / "sources"]
    done = subprocess.run([sys.executable, "-m", "pip", *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def unpacked(wheel: Path) -> Path:
    folder = wheel.parent / "unpacked"
    with ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture
def alone(unpacked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes started from here see the unpacked wheel and the installed packages, but no checkout.

    An empty folder is the current one, and an editable install goes by a .pth file, which -S leaves unread.
    """
    installed = {sysconfig.get_path(kind) for kind in ("purelib", "platlib")}
    monkeypatch.setenv("PYTHONPATH", ":".join([str(unpacked), *sorted(installed)]))
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)


@pytest.fixture
def server(alone: None, tmp_path: Path) -> Iterator[RunningServer]:
    make_artifact(tmp_path / "repository")
    running = RunningServer("--repository", str(tmp_path / "repository"), "--workers", "2", python=("-S", "-P"))
    yield running
    running.end()


def test_the_wheel_holds_every_tracked_file_of_its_packages_and_nothing_else(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    # What deploy holds beside modules (manifests, dashboards) is used from a checkout.
    used = (".py", "/py.typed")
    belongs = {name for name in tracked_files(SHIPPED) if name.endswith(used) or not name.startswith("deploy/")}
    assert held == belongs


def test_an_sdist_holds_what_the_wheel_is_made_of_and_no_test(wheel: Path, tmp_path: Path) -> None:
    code = f"from setuptools import build_meta; build_meta.build_sdist({str(tmp_path)!r})"
    done = subprocess.run([sys.executable, "-c", code], cwd=wheel.parent / "sources", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (built,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(built) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    assert {
        "CHANGELOG.md",
        "LICENSE",
        "README.md",
        "constraints.txt",
        "pyproject.toml",
        "app/http/web/index.html",
    } <= held
    assert not [name for name in held if name.startswith(("tests", "bench", "docs"))]


def without_python_path() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def predict_label(server: RunningServer) -> str:
    """Of a gray image, by the model `tiny`."""
    address = f"http://127.0.0.1:{server.port}"
    image = urllib.request.Request(f"{address}/predict/tiny", gray_image(128), {"Content-Type": "image/png"})
    with urllib.request.urlopen(image, timeout=30) as answer:
        (prediction,) = json.load(answer)["predictions"]
    label: str = prediction["classes"][0]["label"]
    return label


def test_a_service_from_the_wheel_answers(server: RunningServer) -> None:
    assert predict_label(server) == "gray"


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("version", VERSIONS)
def test_the_wheel_installed_by_each_python_serves_with_two_workers(version: str, wheel: Path, tmp_path: Path) -> None:
    """By pip, with the extra cpu alone, from an empty folder."""
    python = shutil.which(f"python{version}")
    if python is None or subprocess.run([python, "-c", ""], capture_output=True).returncode:
        pytest.skip(f"there is no python{version} on the PATH")
    environment, empty = tmp_path / "environment", tmp_path / "empty"
    for command in (
        [python, "-m", "venv", environment],
        [environment / "bin/pip", "install", "-q", "-c", ROOT / "constraints.txt", f"{wheel}[cpu]"],
    ):
        done = subprocess.run(command, capture_output=True, text=True, env=without_python_path())
        assert done.returncode == 0, done.stdout + done.stderr
    make_artifact(tmp_path / "repository")
    empty.mkdir()
    running = RunningServer(
        *("--repository", str(tmp_path / "repository"), "--workers", "2"),
        program=[environment / "bin/convserve"],
        cwd=empty,
        environment={"PYTHONPATH": ""},
    )
    try:
        assert predict_label(running) == "gray"
        assert running.stop() == 0
    finally:
        running.end()
    assert list(empty.iterdir()) == []


def test_a_service_from_the_wheel_shows_its_page(server: RunningServer) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/", timeout=30) as answer:
        assert answer.read() == (ROOT / "app/http/web/index.html").read_bytes()


@pytest.mark.parametrize(("command", "word"), [("convserve", "--help"), ("convserve-export", "networks")])
def test_a_command_of_the_wheel_starts(alone: None, unpacked: Path, command: str, word: str) -> None:
    scripts = configparser.ConfigParser()
    (entries,) = unpacked.glob("*.dist-info/entry_points.txt")
    scripts.read(entries)
    module, _, function = scripts["console_scripts"][command].partition(":")
    code = f"import sys, {module} as module; print(module.__file__); sys.exit(module.{function}())"
    done = subprocess.run([sys.executable, "-S", "-P", "-c", code, word], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.splitlines()[0]).is_relative_to(unpacked)
