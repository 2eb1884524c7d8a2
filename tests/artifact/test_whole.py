"""When a version's folder is whole, and what is said of one that isn't."""

import json
import shutil
from pathlib import Path

import pytest

from artifact.card import read_card
from artifact.errors import ArtifactError
from artifact.layout import CARD_FILE
from artifact.whole import check_files, find_missing, name_needed
from tests.makers.pooled import make_pooled_artifact

NEEDED = ["classifier.npz", "golden/0.png", "golden/200.png", "golden/70.png", "golden/expected.npz", "model.onnx"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_pooled_artifact(tmp_path)


def test_every_file_that_is_served_is_needed(folder: Path) -> None:
    card = read_card(folder)
    assert sorted(name_needed(card)) == NEEDED
    assert find_missing(folder, card) == []
    check_files(folder, card)


@pytest.mark.parametrize("name", NEEDED)
def test_a_file_that_is_absent_cut_short_or_exchanged_is_named(folder: Path, name: str) -> None:
    card, path = read_card(folder), folder / name
    content = path.read_bytes()
    path.write_bytes(content[:10])
    assert find_missing(folder, card) == [f"{name} (10 of {len(content):,} bytes)"]
    path.unlink()
    assert find_missing(folder, card) == [name]
    with pytest.raises(ArtifactError, match=f"it is incomplete: missing {name}: copy the folder again"):
        check_files(folder, card)
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert find_missing(folder, card) == []
    with pytest.raises(ArtifactError, match=rf"{name} is damaged or was replaced: its sha256 is .* the card says"):
        check_files(folder, card)


def test_a_report_is_for_people_and_may_be_left_behind(folder: Path) -> None:
    card = read_card(folder)
    report = {"report/metrics.json": card.files["model.onnx"]}
    listed = card.model_copy(update={"files": {**card.files, **report}})
    assert find_missing(folder, listed) == []
    check_files(folder, listed)


def test_a_folder_of_which_only_the_card_came_names_a_few_files_and_counts_the_others(folder: Path) -> None:
    card = read_card(folder)
    shutil.rmtree(folder)
    assert sorted(find_missing(folder, card)) == NEEDED
    with pytest.raises(ArtifactError, match=r"and 1 more: copy"):
        check_files(folder, card)


def test_format_1_lists_nothing_and_is_whole_when_the_graph_has_its_hash(folder: Path) -> None:
    old = json.loads((folder / CARD_FILE).read_text())
    del old["files"]
    (folder / CARD_FILE).write_text(json.dumps({**old, "format": 1}))
    card = read_card(folder)
    assert find_missing(folder, card) == []
    check_files(folder, card)
    (folder / "golden/expected.npz").unlink()
    assert find_missing(folder, card) == ["golden/expected.npz"]
    (folder / "model.onnx").write_bytes(b"x")
    (folder / "golden/expected.npz").touch()
    with pytest.raises(ArtifactError, match=r"model\.onnx is damaged or was replaced"):
        check_files(folder, card)
