from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from export.cli.main import main
from export.errors import UsageError
from export.training.augmentation import Augmentation
from export.training.recipes.fields import describe_fields, full_key, markdown_table, read_setting
from export.training.recipes.recipe import Recipe

DOCS = Path(__file__).resolve().parents[4] / "docs"
KEYS = {field.name for field in fields(Recipe)} - {"augmentation", "options"}
KEYS |= {f"augmentation.{field.name}" for field in fields(Augmentation)} | {"options.NAME"}


def test_every_field_of_the_dataclasses_says_what_it_means() -> None:
    described = {field.key: field for field in describe_fields()}
    assert described.keys() == KEYS
    assert all(field.help.endswith(".") and field.kind for field in described.values())
    assert described["learning_rate"].default == "0.001"
    assert described["momentum"].kind == "number from 0, below 1"
    assert described["decay_milestones"].kind == "list of numbers"
    assert described["batch_size"].kind == "whole number from 1"


def test_the_page_has_the_table_that_its_script_writes() -> None:
    assert markdown_table() in (DOCS / "recipes.md").read_text()


def test_help_shows_every_field(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    shown = capsys.readouterr().out
    assert not [key for key in KEYS if f"  {key} (" not in shown]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", 5),
        ("1e-3", 1e-3),
        ("true", True),
        ("sgd", "sgd"),
        ("[30, 60]", [30, 60]),
        ('"5"', "5"),
        ("runs/a=b.keras", "runs/a=b.keras"),
        ("", ""),
    ],
)
def test_values_are_written_as_in_toml_and_text_without_quotes(text: str, value: Any) -> None:
    key, read = read_setting(f"key={text}")
    assert (key, read, type(read)) == ("key", value, type(value))


def test_short_keys_mean_the_only_field_that_has_them() -> None:
    assert full_key("epochs") == "epochs"
    assert full_key("flip") == "augmentation.flip"
    assert full_key("augmentation.flip") == "augmentation.flip"
    assert full_key("width", ["width"]) == "options.width"
    assert full_key("options.anything") == "options.anything"
    for key, nearest in (("width", ""), ("fliip", "did you mean flip"), ("widht", "did you mean width")):
        with pytest.raises(UsageError, match=f"no field '{key}'.*{nearest}"):
            full_key(key, ["width"] if nearest else ())
