import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from artifact.card import ModelCard, read_card
from artifact.errors import ArtifactError
from artifact.figures.evaluation import ScoreQuantiles
from artifact.layout import CARD_FILE
from tests.makers.artifacts import make_artifact


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_artifact(tmp_path, "gray")


def test_a_card_survives_writing_and_reading(folder: Path) -> None:
    card = read_card(folder)
    assert ModelCard.model_validate_json(card.model_dump_json()) == card


def test_a_missing_card_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"has no card\.json"):
        read_card(tmp_path)


def test_half_a_card_is_refused(folder: Path) -> None:
    path = folder / CARD_FILE
    path.write_text(path.read_text()[:200])
    with pytest.raises(ArtifactError, match=r"card\.json is not a model card"):
        read_card(folder)


@pytest.mark.parametrize("begin", ["[", '{"format":3,"tools":['])
def test_a_card_that_is_nested_too_deeply_is_refused(folder: Path, begin: str) -> None:
    (folder / CARD_FILE).write_text(begin + "[" * 200_000)
    with pytest.raises(ArtifactError, match=r"card\.json is not a model card"):
        read_card(folder)


@pytest.mark.parametrize(
    ("field", "value"),
    [("sha256", "abc"), ("name", "../up"), ("labels", ["one"]), ("future", 1), ("format", 0)],
)
def test_a_wrong_field_is_named(folder: Path, field: str, value: object) -> None:
    path = folder / CARD_FILE
    card = json.loads(path.read_text())
    card[field] = value
    path.write_text(json.dumps(card))
    with pytest.raises(ArtifactError, match=field):
        read_card(folder)


def test_a_card_of_a_newer_convserve_says_what_helps(folder: Path) -> None:
    path = folder / CARD_FILE
    card = json.loads(path.read_text())
    path.write_text(json.dumps({**card, "format": 4, "future": {"more": "than we understand"}}))
    with pytest.raises(ArtifactError, match=r"format 4, .* up to 3: it was written by a newer convserve: update"):
        read_card(folder)


def test_a_card_begins_with_what_a_person_looks_for(folder: Path) -> None:
    assert list(json.loads((folder / CARD_FILE).read_text()))[:3] == ["format", "name", "version"]


@pytest.mark.parametrize("left_out", ["model.onnx", "golden/expected.npz"])
def test_a_card_lists_what_is_needed_to_serve(folder: Path, left_out: str) -> None:
    path = folder / CARD_FILE
    card = json.loads(path.read_text())
    del card["files"][left_out]
    path.write_text(json.dumps(card))
    with pytest.raises(ArtifactError, match=f"files doesn't list {left_out}"):
        read_card(folder)


def test_a_card_gives_the_graph_one_hash(folder: Path) -> None:
    path = folder / CARD_FILE
    card = json.loads(path.read_text())
    path.write_text(json.dumps({**card, "sha256": "0" * 64}))
    with pytest.raises(ArtifactError, match=r"model\.onnx another sha256"):
        read_card(folder)


@pytest.mark.parametrize("name", ["../up", "/etc/passwd", "golden/../../up", "golden//0.png", "a\\b", "", "a\nb"])
def test_a_card_lists_files_of_its_own_folder_alone(folder: Path, name: str) -> None:
    path = folder / CARD_FILE
    card = json.loads(path.read_text())
    card["files"][name] = card["files"]["model.onnx"]
    path.write_text(json.dumps(card))
    with pytest.raises(ArtifactError, match="is not a path within"):
        read_card(folder)


def test_the_score_is_never_of_a_smaller_coverage_than_asked() -> None:
    quantiles = ScoreQuantiles(images=100, coverage=(0.8, 0.9, 0.95), score=(0.1, 0.4, 0.7))
    assert quantiles.score_at(0.8) == 0.1
    assert quantiles.score_at(0.81) == 0.4
    assert quantiles.score_at(0.95) == 0.7
    with pytest.raises(ValueError, match=r"above the largest stored one, 0\.95"):
        quantiles.score_at(0.96)


def test_quantiles_need_a_score_for_each_coverage() -> None:
    with pytest.raises(ValidationError, match="one score each"):
        ScoreQuantiles(images=1, coverage=(0.8, 0.9), score=(0.1,))


@pytest.mark.parametrize(("format", "rule"), [(2, "rounded"), (3, "torchvision")])
def test_crops_of_older_cards_stay_as_they_were(folder: Path, format: int, rule: str) -> None:
    path = folder / CARD_FILE
    card = json.loads(path.read_text())
    del card["image"]["crop_rule"]
    path.write_text(json.dumps({**card, "format": format}))
    assert read_card(folder).image.crop_rule == rule
