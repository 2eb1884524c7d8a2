import os
import sys
import zipfile
from pathlib import Path

import pytest

from bench.gpu import needs


@pytest.fixture
def path_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """What lay_out changes is put back."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("PYTHONPATH", "/before")


@pytest.mark.usefixtures("path_kept")
def test_a_wheel_is_laid_out_without_being_installed(tmp_path: Path) -> None:
    wheels, site = tmp_path / "wheels", tmp_path / "site"
    wheels.mkdir()
    with zipfile.ZipFile(wheels / "laid_wheel-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("laid_wheel/__init__.py", "ANSWER = 42\n")
        wheel.writestr("laid_wheel-1.0.data/purelib/laid_beside.py", "ANSWER = 43\n")
        wheel.writestr("laid_wheel-1.0.data/scripts/run", "#!python\n")
        wheel.writestr("laid_wheel-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: laid-wheel\nVersion: 1.0\n")
    assert needs.find_missing(["laid_wheel"]) == ["laid_wheel"]
    needs.lay_out(wheels, site)
    assert needs.find_missing(["laid_wheel", "laid_beside"]) == []
    assert not (site / "run").exists()
    assert os.environ["PYTHONPATH"] == f"{site}{os.pathsep}/before", "processes that are started find it too"


@pytest.mark.usefixtures("path_kept")
def test_no_wheels_are_no_trouble(tmp_path: Path) -> None:
    needs.lay_out(tmp_path / "none", tmp_path / "site")
    assert needs.find_missing() == [], "this environment has all that serving needs"


def test_what_is_missing_is_named_with_the_way_to_get_it(tmp_path: Path) -> None:
    text = needs.explain_missing(["uvloop", "onnxruntime-gpu"], tmp_path / "wheels")
    assert "uvloop, onnxruntime-gpu" in text
    assert "pip download" in text
    assert str(tmp_path / "wheels") in text
    assert "nvidia-cudnn-cu13" in text
    assert "nvidia" not in needs.explain_missing(["uvloop"], tmp_path / "wheels")
