"""Recipes from files: those that the project ships, anybody's TOML, and the cards and runs that record one."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from artifact.card import ModelCard, Provenance
from artifact.documents import read_document
from artifact.errors import ArtifactError, near_miss
from artifact.layout import CARD_FILE
from export.errors import DataError, UsageError
from export.sources.run_folder import RUN_FILE, read_run
from export.training.recipes.recipe import Recipe, make_recipe

SHIPPED = dict(sorted((file.stem, file) for file in (Path(__file__).parent / "shipped").glob("*.toml")))
"""The recipes that the project ships, by name. NETWORK-DATASET stands before its variants, NETWORK-DATASET-paper."""


@dataclass(frozen=True)
class Recorded:
    """A recipe and what else a training that is to be repeated needs, as far as the file knows."""

    recipe: Recipe
    title: str
    """For people and folders: the TOML file's name, NETWORK-DATASET of what a card or a run records."""
    dataset: str
    """As `load_dataset` takes it; empty where a TOML file leaves it open, as it may the network."""
    seed: int | None = None
    data_dir: Path | None = None
    provenance: Provenance | None = None
    """What that training left, with its image policy and arithmetic; None where the file is a recipe alone."""


def read_recorded(word: str) -> Recorded:
    """The recipe called `word`: a shipped one's name, a TOML file, a card.json or run.json or the folder of one.

    Raises UsageError or DataError where it is none of them, or naming the first field that is wrong.
    """
    if word in SHIPPED:
        return _read_toml(SHIPPED[word])
    path = Path(word)
    if path.is_dir():
        path = next((path / name for name in (RUN_FILE, CARD_FILE) if (path / name).is_file()), path)
    if path.suffix == ".toml" and path.is_file():
        return _read_toml(path)
    if path.name == RUN_FILE and path.is_file():
        return recorded_run(path.parent)
    if path.suffix == ".json" and path.is_file():
        return _read_card(path)
    if path.suffix in (".toml", ".json"):
        raise UsageError(f"recipe {word}: there is no such file")
    raise UsageError(
        f"unknown recipe {word!r}{near_miss(word, SHIPPED)}: there are {', '.join(SHIPPED)}, or name a .toml file, "
        f"a model's {CARD_FILE}, or a run folder"
    )


def shipped_recipes() -> Iterator[tuple[str, Recipe]]:
    """Each with its name."""
    for name, file in SHIPPED.items():
        yield name, _read_toml(file).recipe


def recorded_run(folder: Path) -> Recorded:
    """What a run folder records. Raises DataError where it is none."""
    run = read_run(folder)
    recipe = make_recipe(run.recipe, str(folder / RUN_FILE))
    return Recorded(recipe, recipe.model_name, run.dataset, run.seed, Path(run.data_dir) if run.data_dir else None, run)


def _read_toml(file: Path) -> Recorded:
    try:
        tables: dict[str, Any] = tomllib.loads(file.read_text("utf-8-sig"))  # Windows' editors begin a file with a mark
    except (OSError, ValueError) as error:  # TOMLDecodeError and UnicodeDecodeError are ValueErrors
        raise DataError(f"{file} is not TOML: {error}") from error
    flat: dict[str, Any] = {}
    for key, value in tables.items():
        flat.update({f"{key}.{name}": of for name, of in value.items()} if isinstance(value, dict) else {key: value})
    recipe = make_recipe({"network": "", "dataset": "", **flat}, str(file))
    return Recorded(recipe, file.stem, recipe.dataset)


def _read_card(file: Path) -> Recorded:
    try:
        card = read_document(ModelCard, file, "a model card")
    except ArtifactError as error:
        raise DataError(f"{file}: {error}") from error
    if (training := card.training) is None:
        raise UsageError(f"{file} records no training: {card.name}'s weights are {card.network.weights}")
    recipe = make_recipe(training.recipe, str(file))
    return Recorded(recipe, recipe.model_name, training.dataset, training.seed, None, card)
