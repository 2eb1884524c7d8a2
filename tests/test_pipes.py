"""Both commands into a pipe that nobody reads any more."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.makers.artifacts import make_artifact
from tests.makers.sources import ROOT


@pytest.mark.parametrize(
    ("module", "words"), [("app", ["models", "--repository", "."]), ("app", ["--help"]), ("export", ["networks"])]
)
def test_a_reader_that_has_seen_enough_is_no_error(module: str, words: list[str], tmp_path: Path) -> None:
    make_artifact(tmp_path)
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as pipe:
        done = subprocess.run(
            [sys.executable, "-m", module, *words],
            stdout=pipe,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("module", ["app", "export"])
def test_another_pipe_that_breaks_is_a_failure(module: str) -> None:
    broken = {
        "app": "import app.cli.main as cli; cli._COMMANDS['models'] = fail; cli.main(['models'])",
        "export": "import export.cli.main as cli; cli._networks = fail; cli.main(['networks'])",
    }
    code = f"def fail(_):\n    raise BrokenPipeError\n{broken[module]}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 1
    assert "BrokenPipeError" in done.stderr
