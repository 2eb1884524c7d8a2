"""The constants' benchmark: what it changes, what with, and what it says of it."""

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from app.inference import plan
from app.machine import count_cores
from artifact.card import read_card
from bench.constants.__main__ import parse_arguments, write_row, write_table
from bench.constants.changed import change, environment
from bench.constants.constants import CONSTANTS, Constant
from bench.constants.workloads import digits_of, labels_of, network_of, photos_of, usual
from bench.load.launches import ROOT, choose_image
from bench.load.models import publish
from bench.load.wrk import Result
from tests.makers.artifacts import make_artifact
from tests.makers.running_server import RunningServer


@pytest.mark.parametrize("constant", CONSTANTS, ids=lambda constant: constant.name)
def test_every_constant_is_a_number_of_its_module_and_has_something_to_be_tried_with(constant: Constant) -> None:
    assert constant.value > 0
    assert constant.workloads
    assert constant.times(0.5) < constant.times(1) == constant.value < constant.times(2)


def test_a_count_stays_whole() -> None:
    assert Constant("app.server.busy_poll", "_ENOUGH", ()).times(0.5) == 2


def test_a_change_counts_in_the_workers_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_artifact(tmp_path / "repository")
    changes = change(tmp_path / "changes", [("app.inference.plan", "INLINE_S", 0.0)])
    for name, value in environment(changes, ROOT).items():
        monkeypatch.setenv(name, value)
    read = [sys.executable, "-P", "-c", "from app.inference import plan; print(plan.INLINE_S)"]
    assert float(subprocess.run(read, capture_output=True, check=True).stdout) == 0
    server = RunningServer("--repository", str(tmp_path / "repository"))
    server.end()
    said = "".join(server.lines)
    # By what its first worker has measured; as it comes there would be one a core.
    assert "1 worker: tiny uses all cores from one process" in said or count_cores() == 1
    assert plan.INLINE_S > 0, "here nothing has changed"


def test_words_choose_constants() -> None:
    given = parse_arguments(["--only", "INLINE_S,SOON_S", "--seconds", "1"])
    assert [constant.name for constant in given.constants] == ["INLINE_S", "SOON_S"]
    assert parse_arguments([]).constants == list(CONSTANTS)


@pytest.mark.parametrize("words", [["--only", "PI"], ["--seconds", "0"], ["--rounds", "0"]])
def test_wrong_words_are_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_arguments(words)
    assert words[0] in capsys.readouterr().err


@pytest.mark.parametrize("workload", [network_of(0.5, 8), labels_of(24, 32)], ids=lambda workload: workload.title)
def test_networks_are_made_on_the_spot(workload, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    published = publish(workload.model, tmp_path)
    image, label = choose_image(published, workload.model.images(tmp_path / "images"))
    assert label in read_card(published.folder).labels
    assert image.is_file()


def test_images_are_as_large_as_their_names_say(tmp_path: Path) -> None:
    with Image.open(digits_of(56, 1).model.images(tmp_path)[0]) as digit:
        assert (digit.size, digit.mode) == ((56, 56), "L")
    assert photos_of(120, 1).model.images(tmp_path)[0].stat().st_size >= 120_000


def test_a_row_has_the_medians_of_half_of_it_and_double() -> None:
    runs = [[Result(100, 1, rate, 1, 2, 3, wrong, 0, "") for rate in (1e3, 2e3, 9e3)] for wrong in (0, 1, 0)]
    constant = Constant("app.inference.plan", "INLINE_S", ())
    row = write_row(constant, usual("lenet5", 8), runs)
    assert row[:3] == [f"{plan.INLINE_S:g}", "app.inference.plan.INLINE_S", "lenet5, 8 connections"]
    assert row[3:] == ["2,000.0"] * 3 + ["3.00"] * 3 + ["3"]
    assert "INLINE_S" in write_table([row])
