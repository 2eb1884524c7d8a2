"""Both commands into a pipe that nobody reads any more."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from artifacts import make_artifact

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("module", ["app", "export"])
def test_a_reader_that_has_seen_enough_is_no_error(module: str, tmp_path: Path) -> None:
    make_artifact(tmp_path / "repository")
    words = ["networks"] if module == "export" else ["models", "--repository", str(tmp_path / "repository")]
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as pipe:
        done = subprocess.run(
            [sys.executable, "-m", module, *words], stdout=pipe, stderr=subprocess.PIPE, text=True, cwd=ROOT
        )
    assert (done.returncode, done.stderr) == (0, "")
