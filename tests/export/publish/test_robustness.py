from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from artifact.card import read_card
from export.publish import robustness
from export.publish.pipeline import convert
from export.sources.source import Source


@pytest.fixture
def labeled(color_source: Source) -> Source:
    return replace(color_source, images=replace(color_source.images, dataset="blobs"))


def test_a_bounded_number_of_images_is_taken(
    labeled: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(robustness, "MOST_IMAGES", 10)
    folder = convert(labeled, tmp_path)
    measured = read_card(folder).robustness
    assert measured is not None
    assert (measured.images, measured.dataset, len(measured.corrupted)) == (10, "blobs", 18)
    assert "report/robustness.png" in read_card(folder).files
    assert "robustness, on 10 images in 0:0" in capsys.readouterr().err


@pytest.mark.parametrize("known", [True, False])
def test_it_is_left_out_where_nobody_wants_it_or_classes_arent_known(
    labeled: Source, color_source: Source, tmp_path: Path, known: bool
) -> None:
    folder = convert(labeled if known else color_source, tmp_path, robustness=not known)
    assert read_card(folder).robustness is None
    assert not (folder / "report" / "robustness.png").exists()
