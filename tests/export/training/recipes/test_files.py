from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from export.data.datasets import DATASETS
from export.errors import DataError, UsageError
from export.training.initial.initial_network import build_arguments
from export.training.recipes.files import SHIPPED, read_recorded, shipped_recipes
from models.registry import NETWORKS

FIXTURE = Path(__file__).resolve().parents[3] / "fixtures" / "format1"


def test_every_shipped_recipe_is_of_a_network_and_a_data_set_that_exist() -> None:
    recipes = dict(shipped_recipes())
    assert {"quickstart", "lenet5-mnist", "resnet18-cifar10"} <= recipes.keys()
    for name, recipe in recipes.items():
        assert recipe.network in NETWORKS, name
        assert recipe.dataset in DATASETS, name
        assert recipe.options.keys() <= set(build_arguments(recipe.network)), name


# The series' listings of these have no training of their own.
UNTRAINED = {"alexnet_series", "resnet18_series"}
PAPERS = {name: recipe for name, recipe in shipped_recipes() if "Not repeated:" in SHIPPED[name].read_text()}


def test_every_network_with_a_training_in_its_paper_has_a_recipe_of_it() -> None:
    listing = dict(shipped_recipes())["vgg11_series-mnist-listing"]
    assert {recipe.network for recipe in [*PAPERS.values(), listing]} == NETWORKS.keys() - UNTRAINED
    # 20,000 steps of 10 images.
    assert listing.epochs * round(60_000 * (1 - listing.validation_share)) / listing.batch_size == 20_000


@pytest.mark.parametrize("name", PAPERS)
def test_a_paper_s_recipe_says_its_source_and_trains_its_network_to_the_end(name: str) -> None:
    recipe, network = PAPERS[name], NETWORKS[PAPERS[name].network]
    text = SHIPPED[name].read_text()
    comment = " ".join(line.removeprefix("# ") for line in text.splitlines() if line.startswith("#"))
    author = network.paper.split()[0].rstrip(",")
    assert re.search(rf"^{author} .*{network.year}", comment)
    assert re.search(r"(section|sections|appendix)\b", comment)
    figures = re.findall(r"\d+\.\d+", network.published_error)
    assert all(figure in comment for figure in figures)
    assert recipe.patience == recipe.epochs
    sides = recipe.augmentation.scale_jitter
    assert not sides or sides[0] >= max(network.input_shape[:2])


def test_a_file_says_what_it_says_and_leaves_the_rest_to_the_defaults(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('network = "resnet18"\nepochs = 2\n\n[augmentation]\nzoom = 0.5\n\n[options]\nwidth = 16\n')
    recorded = read_recorded(str(file))
    assert (recorded.recipe.network, recorded.recipe.dataset, recorded.dataset) == ("resnet18", "", "")
    assert (recorded.recipe.augmentation.zoom, recorded.recipe.options) == (0.5, {"width": 16})
    assert recorded.recipe.batch_size == 128
    assert recorded.seed is None
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())  # as editors on Windows save it
    assert read_recorded(str(file)) == recorded


def test_an_older_run_and_card_are_recipes(tmp_path: Path) -> None:
    run = read_recorded(str(FIXTURE / "run"))
    assert (run.recipe.network, run.dataset) == ("lenet5", "digits")
    assert (run.seed, run.provenance is not None) == (0, True)
    card = json.loads((FIXTURE / "repository/blobs/1/card.json").read_text())
    card["training"] |= {"recipe": run.recipe.summary(), "seed": 4}
    (tmp_path / "card.json").write_text(json.dumps(card))
    recorded = read_recorded(str(tmp_path / "card.json"))
    assert recorded == read_recorded(str(tmp_path))
    assert (recorded.recipe, recorded.dataset, recorded.seed) == (run.recipe, "blobs", 4)


def test_a_card_whose_training_was_not_ours_says_what_is_missing() -> None:
    with pytest.raises(UsageError, match=r"card\.json: a recipe must have the key dataset"):
        read_recorded(str(FIXTURE / "repository/blobs/1"))


def test_what_is_no_recipe_says_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"did you mean quickstart\?"):
        read_recorded("quikstart")
    with pytest.raises(UsageError, match=r"or name a \.toml file"):
        read_recorded(str(tmp_path))
    file = tmp_path / "mine.toml"
    file.write_text("epochs = \n")
    with pytest.raises(DataError, match=r"mine\.toml is not TOML: .*line 1"):
        read_recorded(str(file))
    file.write_text("epochs = 2\nbatchsize = 3\n")
    with pytest.raises(UsageError, match=r"mine\.toml: .*no field 'batchsize' \(did you mean batch_size\?\)"):
        read_recorded(str(file))
    card = json.loads((FIXTURE / "repository/blobs/1/card.json").read_text())
    (tmp_path / "card.json").write_text(json.dumps({**card, "training": None}))
    with pytest.raises(UsageError, match="records no training: blobs's weights are"):
        read_recorded(str(tmp_path))
    (tmp_path / "card.json").write_text("{}")
    with pytest.raises(DataError, match=r"card\.json is not a model card"):
        read_recorded(str(tmp_path))


def test_the_shipped_recipes_lie_beside_the_code() -> None:
    assert all(file.is_file() for file in SHIPPED.values())
