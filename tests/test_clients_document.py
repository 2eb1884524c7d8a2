"""Every example of docs/clients.md is run as it stands, but for the ports and the model's name."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from app.settings import Settings
from tests.makers.artifacts import gray_image, make_artifact
from tests.makers.pooled import make_pooled_artifact
from tests.makers.sources import ROOT
from tests.makers.threaded_server import serve_all_in_thread

TEXT = (ROOT / "docs/clients.md").read_text()
TITLES = re.compile(r"^## (.*)$", re.MULTILINE)
CODE = re.compile(r"^```(python|javascript|go|java)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINE = re.compile(r"^    (curl .*)$", re.MULTILINE)
# By language the file and the command that runs it.
RUN = {
    "python": ("example.py", [sys.executable, "example.py"]),
    "javascript": ("example.mjs", ["node", "example.mjs"]),
    "go": ("example.go", ["go", "run", "example.go"]),
    "java": ("Predict.java", ["java", "Predict.java"]),
}


def list_examples(pattern: re.Pattern[str]) -> list[tuple[str, ...]]:
    """The title that each example stands below, and the groups of the match."""
    titles = list(TITLES.finditer(TEXT))
    return [
        (next(title[1] for title in reversed(titles) if title.start() < found.start()), *found.groups())
        for found in pattern.finditer(TEXT)
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("examples")
    for name in ("digit.png", "other.png"):
        (found / name).write_bytes(gray_image(150))
    Image.new("RGB", (40, 30), "red").save(found / "photo.jpg")
    return found


@pytest.fixture(scope="module")
def ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, int]]:
    repository = tmp_path_factory.mktemp("repository")
    make_artifact(repository)
    make_pooled_artifact(repository, "resnet50")
    with serve_all_in_thread(Settings(repository=repository, grpc_port=0, poll_s=0)) as found:
        yield found


def fill_in(text: str, ports: tuple[int, int]) -> str:
    return text.replace("127.0.0.1:8000", f"127.0.0.1:{ports[0]}").replace("127.0.0.1:9000", f"127.0.0.1:{ports[1]}")


def run(command: list[str], folder: Path) -> str:
    if shutil.which(command[0]) is None:
        pytest.skip(f"there is no {command[0]}")
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=200, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.mark.parametrize(
    ("title", "language", "code"),
    [pytest.param(*found, id=f"{place}-{found[1]}") for place, found in enumerate(list_examples(CODE))],
)
def test_a_program_prints_the_answer(
    title: str, language: str, code: str, ports: tuple[int, int], folder: Path
) -> None:
    if language == "python":
        for module in re.findall(r"^(?:import|from) (\w+)", code, re.MULTILINE):
            pytest.importorskip(module)
    file, command = RUN[language]
    (folder / file).write_text(fill_in(code, ports).replace("lenet5", "tiny"))
    printed = run(command, folder)
    assert re.search(r"gray|9\.16\d*e-01", printed), printed


@pytest.mark.parametrize(("title", "line"), list_examples(LINE))
def test_a_line_of_curl_is_answered(title: str, line: str, ports: tuple[int, int], folder: Path) -> None:
    command = fill_in(line, ports).replace("lenet5", "tiny").replace("curl ", "curl -sS --fail ", 1)
    printed = run(["bash", "-c", command], folder)
    answered = {"Embeddings": '"embeddings"'}.get(title, '"predictions"')
    assert answered in printed or '"gray"' in printed


def test_every_client_has_an_example() -> None:
    found = "\n".join(code for _, _, code in list_examples(CODE))
    for name in ("requests", "httpx", "aiohttp", "tritonclient.http", "tritonclient.grpc", "tritonclient.grpc.aio"):
        assert f"import {name}" in found
    assert "InferenceClient" in found
    assert {language for _, language, _ in list_examples(CODE)} == RUN.keys()
    assert list_examples(LINE)
