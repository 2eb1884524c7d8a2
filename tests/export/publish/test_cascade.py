"""The images that a cascade's threshold is chosen on, and the command that prints it."""

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from app.aliases import Cascade
from artifact.card import Training, read_card
from artifact.image_policy import ImagePolicy
from export.cli.main import main
from export.data.datasets import DATASETS, DataSet
from export.data.holdout import split_images
from export.data.samples import ArraySamples
from export.errors import DataError, UsageError
from export.publish.cascade import find_validation
from tests.makers.artifacts import LABELS, make_artifact, make_graph

IMAGES, HELD_BACK = 2_000, 0.1
LEVELS = np.random.default_rng(0).integers(0, 256, IMAGES)
TRUE = np.clip(np.rint(LEVELS / 63.75), 0, 4).astype(np.int64)


def gray_set(train: bool = True) -> DataSet:
    images = np.broadcast_to(LEVELS[:, None, None], (IMAGES, 8, 8)).astype(np.uint8)
    samples = ArraySamples(images, TRUE)
    policy = ImagePolicy(height=8, width=8, channels=1)
    return DataSet("grays", LABELS, policy, samples if train else None, samples, "CC0")


def make_darker_graph() -> onnx.ModelProto:
    """Sees everything 20 levels darker, so that it is wrong just above each border, and unsure there."""
    model = make_graph()
    place = next(place for place, node in enumerate(model.graph.node) if node.op_type == "Unsqueeze")
    model.graph.initializer.append(numpy_helper.from_array(np.float32([20]), "twenty"))
    model.graph.node[place].input[0] = "darker"
    model.graph.node.insert(place, helper.make_node("Sub", ["mean", "twenty"], ["darker"]))
    return model


def trained(seed: int = 0, dataset: str = "grays", images: int | None = None) -> Training:
    held_back = len(split_images(TRUE, HELD_BACK, seed)[1]) if images is None else images
    recipe: dict[str, Any] = {"validation_share": HELD_BACK}
    common = {"epochs": 1, "seconds": 1.0, "backend": "none", "recipe": recipe, "seed": seed, "dataset": dataset}
    return Training(images=IMAGES - held_back, validation_images=held_back, **common)


@pytest.fixture
def publish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Two models of the set `grays`: the first one confuses neighbors, the second one doesn't."""
    monkeypatch.setitem(DATASETS, "grays", lambda data_dir: gray_set())

    def make(first: Training | None, then: Training | None) -> Path:
        make_artifact(tmp_path, "first", graph=make_darker_graph(), training=first)
        make_artifact(tmp_path, "then", graph=make_graph(sharpness=1e-2), training=then)
        return tmp_path

    return make


def find(repository: Path, dataset: DataSet) -> np.ndarray:
    return find_validation((read_card(repository / "first/1"), read_card(repository / "then/1")), dataset)


def test_only_images_that_neither_was_trained_on_are_used(publish: Callable[..., Path]) -> None:
    found = find(publish(trained(0), trained(0)), gray_set())
    assert found.tolist() == split_images(TRUE, HELD_BACK, 0)[1].tolist()


def test_a_model_trained_elsewhere_leaves_the_others_split(publish: Callable[..., Path]) -> None:
    found = find(publish(None, trained(3)), gray_set())
    assert found.tolist() == split_images(TRUE, HELD_BACK, 3)[1].tolist()


def test_splits_that_share_too_few_images_are_refused(publish: Callable[..., Path]) -> None:
    with pytest.raises(UsageError, match="train both networks with the same --seed"):
        find(publish(trained(0), trained(1)), gray_set())


def test_a_data_set_that_changed_or_has_only_test_images_is_refused(publish: Callable[..., Path]) -> None:
    repository = publish(trained(0, images=7), trained(0))
    with pytest.raises(DataError, match="grays has changed since first was trained"):
        find(repository, gray_set())
    with pytest.raises(UsageError, match="only test images"):
        find(repository, gray_set(train=False))


def test_the_command_prints_what_the_settings_take(
    publish: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    repository = publish(trained(0), trained(0))
    words = ["--dataset", "grays", "--accuracy", "0.95", "--name", "both", "--repository", str(repository)]
    assert main(["cascade", "first", "then", *words]) == 0
    printed = capsys.readouterr().out
    said = Cascade(**tomllib.loads(printed)["aliases"]["both"])
    assert (said.first, said.then) == ("first", "then")
    assert 0 < said.least_probability < 1
    assert "validation images of grays" in printed


@pytest.mark.parametrize(
    ("then", "words"), [("first", "name two models"), ("absent", "has no model 'absent': there are first, then")]
)
def test_a_cascade_of_one_model_or_none_is_a_usage_error(
    publish: Callable[..., Path], capsys: pytest.CaptureFixture[str], then: str, words: str
) -> None:
    options = ["--dataset", "grays", "--accuracy", "0.95", "--repository", str(publish(trained(), trained()))]
    assert main(["cascade", "first", then, *options]) == 2
    assert words in capsys.readouterr().err
