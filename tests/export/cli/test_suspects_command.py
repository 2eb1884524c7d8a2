from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest

from export.cli.main import main
from export.report.suspects_page import PAGE_FILE, TABLE_FILE


@pytest.mark.parametrize("part", ["validation", "test"])
def test_a_run_and_what_was_published_of_it_name_the_same_suspects(built: Path, tmp_path: Path, part: str) -> None:
    (run,) = (built / "runs").iterdir()
    (model,) = (built / "repository").glob("[!.]*/1")
    words = ["--part", part, "--out"]
    assert main(["suspects", str(run), *words, str(tmp_path / "run")]) == 0
    of_model = [model.parent.name, "--repository", str(built / "repository")]
    assert main(["suspects", *of_model, *words, str(tmp_path / "model")]) == 0
    tables = [read_table(tmp_path / name / TABLE_FILE) for name in ("run", "model")]
    assert [row["image"] for row in tables[0]] == [row["image"] for row in tables[1]]
    for one, other in zip(*tables, strict=True):
        assert float(one["p_given"]) == pytest.approx(float(other["p_given"]), abs=2e-4)
    assert f"digits, {part} images" in (tmp_path / "run" / PAGE_FILE).read_text()


def read_table(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as opened:
        return list(csv.DictReader(opened))


def test_words_that_cant_be_are_told(built: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run,) = (built / "runs").iterdir()
    (model,) = (built / "repository").glob("[!.]*/1")
    published = [model.parent.name, "--repository", str(built / "repository")]
    for words, complaint in (
        ([str(run), "--dataset", "mnist"], "a run's suspects are in its own data set"),
        ([str(run), "--folds", "1"], "there are at least 2"),
        ([*published, "--folds", "3"], "is not a run folder"),
        ([*published, "--code", "layers.py"], "--code is for runs, a model that was published"),
        ([*published, "--dataset", "drawn-digits", "--part", "validation"], "records no training on drawn-digits"),
    ):
        assert main(["suspects", *words]) == 2
        assert complaint in capsys.readouterr().err


def test_validation_images_of_a_set_that_changed_are_lost(
    built: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (run,) = (built / "runs").iterdir()
    shutil.copytree(run, tmp_path / "run")
    record = tmp_path / "run" / "run.json"
    record.write_text(record.read_text().replace('"images": 1293', '"images": 1300'))
    assert main(["suspects", str(tmp_path / "run")]) == 1
    assert "has changed since" in capsys.readouterr().err
