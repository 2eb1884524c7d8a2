"""The machine's Keras settings: a backend that isn't there is one line, channels are last whatever keras.json says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import keras
import pytest

from export.cli.quiet_import import load_keras

ROOT = Path(__file__).parents[3]


def test_channels_are_last_whatever_keras_json_says() -> None:
    keras.config.set_image_data_format("channels_first")
    try:
        load_keras()
        assert keras.config.image_data_format() == "channels_last"
    finally:
        keras.config.set_image_data_format("channels_last")


@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_a_backend_that_is_not_installed_is_named(backend: str, tmp_path: Path) -> None:
    # In a process of its own: Keras takes its backend once. The folder hides the package, should it be there.
    (tmp_path / f"{backend}.py").write_text(f"raise ModuleNotFoundError('no {backend}', name='{backend}')")
    environment = {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    done = subprocess.run(
        [sys.executable, "-m", "export", "networks"], capture_output=True, text=True, env=environment, check=False
    )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert f"KERAS_BACKEND={backend} needs {backend}, which is not installed" in done.stderr
