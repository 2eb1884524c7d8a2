"""`time`: what is timed and how it is told. How long it takes is nobody's business here."""

from __future__ import annotations

from pathlib import Path

import keras
import pytest
from keras import layers
from PIL import Image

from export.cli.main import main
from export.proof.timing import time_by_turns


def test_candidates_take_turns_and_burn_in_does_not_count() -> None:
    calls: list[str] = []
    measured = time_by_turns({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, 3, burn_in=2)
    assert calls == ["a", "b"] * 5
    assert {name: len(times) for name, times in measured.items()} == {"a": 3, "b": 3}


@pytest.mark.parametrize("word", ["lenet5", "pets.keras", "mobilenet_v2"])
def test_a_network_is_timed_into_a_table_and_a_plot(
    word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    if word == "pets.keras":
        keras.Sequential([keras.Input((8, 8, 3)), layers.Flatten(), layers.Dense(1, activation="sigmoid")]).save(word)
    size = ["--size", "32x32"] if word == "mobilenet_v2" else []
    assert main(["time", word, "--batch-size", "3", "--batches", "2", *size]) == 0
    table = capsys.readouterr().out.splitlines()
    assert "batches of 3, 2 after 10 burn-in" in table[0]
    assert [line.split()[0] for line in table[2:4]] == ["Keras", "ONNX"]
    assert "+/-" in table[2]
    with Image.open(f"time-{Path(word).stem}.png") as plot:
        assert plot.width > 500


def test_what_cannot_be_timed_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["time", "vgg16", "--size", "4x4"]) == 2
    assert "too small" in capsys.readouterr().err
