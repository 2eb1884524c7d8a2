"""Every network of the registry, with random weights: converted, proved, and the proof proved sharp."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import pytest

from artifact.card import read_card
from artifact.image_policy import ImagePolicy
from export.cli.main import main
from export.data.preprocessing import preset, reference
from export.data.samples import decode_samples
from export.errors import ProofError
from export.graph.finish import finish_graph
from export.graph.from_keras import keras_to_onnx
from export.graph.grouped_convolution import true_grouped_convolutions
from export.proof import compare, runtime
from export.proof.own_outputs import network_outputs
from export.sources.named.random_weights import fit_random_weights
from export.sources.proof_images import bundled_images
from models.registry import NETWORKS
from models.small_forms import SMALL_FORMS


@pytest.fixture(autouse=True)
def _forget_networks() -> Iterator[None]:
    yield
    keras.backend.clear_session(free_memory=False)


def fitted(name: str) -> tuple[keras.Model, ImagePolicy, np.ndarray]:
    """The small form of a network, fitted to the bundled images, with their pixels."""
    keras.utils.set_random_seed(0)
    model = NETWORKS[name].build(**SMALL_FORMS[name])
    height, width, channels = model.input.shape[1:]
    policy = ImagePolicy(height=height, width=width, channels=channels)
    pixels = decode_samples(bundled_images(channels).samples, range(14), policy)
    fit_random_weights(model, reference(pixels, arithmetic(channels)))
    return model, policy, pixels


def arithmetic(channels: int):
    return preset("unit" if channels == 1 else "torch", channels)


# The deepest are shallower ones with more of the same blocks, and take a third of the time.
DEEP = {"resnet152", "resnext101_64x4d", "senet154", "vgg19"}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in DEEP else name for name in NETWORKS]
)
def test_the_small_form_of_every_network_is_proved(name: str) -> None:
    model, policy, pixels = fitted(name)
    prepared = arithmetic(policy.channels)
    graph = finish_graph(keras_to_onnx(model, policy.shape), policy=policy, preprocessing=prepared, head="logits")
    session = runtime.open_session(graph.model.SerializeToString())
    runtime.check_batches(session, pixels)
    with true_grouped_convolutions():
        raw = network_outputs(model, pixels, prepared)
    expected = compare.probabilities_from(raw, "logits")
    proof = compare.compare(expected, runtime.run_graph(session, pixels).probabilities, source="")
    assert proof.max_abs_difference <= 5e-5  # half the tolerance, or another machine's order of summation might fail it
    assert 0.2 <= np.median(expected.max(axis=1)) <= 0.95


@pytest.mark.parametrize("name", ["vgg11", "googlenet", "resnet50"])
def test_a_bgr_swap_on_random_weights_is_refused(name: str) -> None:
    model, policy, pixels = fitted(name)
    raw = network_outputs(model, pixels, arithmetic(3))
    swapped = arithmetic(3).model_copy(update={"channel_order": "bgr"})
    graph = finish_graph(keras_to_onnx(model, policy.shape), policy=policy, preprocessing=swapped, head="logits")
    outputs = runtime.run_graph(runtime.open_session(graph.model.SerializeToString()), pixels)
    with pytest.raises(ProofError, match="differs from Keras"):
        compare.compare(compare.probabilities_from(raw, "logits"), outputs.probabilities, source="")


def test_a_network_by_name_is_published_and_says_that_its_weights_were_fitted(tmp_path: Path) -> None:
    assert main(["convert", "resnet18_series", "--size", "16x16", "--repository", str(tmp_path)]) == 0
    card = read_card(tmp_path / "resnet18_series-random/1")
    assert card.proof.fitted_random_weights
    assert (card.network.origin, card.network.weights, card.image.fit) == ("convserve", "random", "stretch")
    assert card.preprocessing.name == "torch"
    assert card.labels == tuple(map(str, range(100)))
    assert main(["verify", "resnet18_series-random", "--repository", str(tmp_path)]) == 0


def test_weights_of_another_shape_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "lenet.weights.h5"
    NETWORKS["lenet5"].build(classes=7).save_weights(file)
    words = ["convert", "lenet5", "--weights", str(file), "--repository", str(tmp_path / "repository")]
    assert main(words) == 2
    error = capsys.readouterr().err
    assert "don't fit lenet5" in error
    assert "(84, 10)" in error
    assert "(84, 7)" in error
    assert main([*words[:3], str(tmp_path / "none.h5"), *words[4:]]) == 2
    assert "there is no such file" in capsys.readouterr().err


def test_a_file_of_weights_fills_the_network_named(tmp_path: Path) -> None:
    file, labels = tmp_path / "mine.weights.h5", tmp_path / "seven.txt"
    labels.write_text("\n".join("abcdefg"))
    NETWORKS["lenet5"].build(classes=7).save_weights(file)
    words = ["--weights", str(file), "--labels", str(labels), "--repository", str(tmp_path)]
    assert main(["convert", "lenet5", *words]) == 0
    card = read_card(tmp_path / "lenet5-mine/1")
    assert not card.proof.fitted_random_weights
    assert (card.network.weights, card.labels) == ("mine.weights.h5", tuple("abcdefg"))


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_at_full_size_is_proved_and_published(name: str, tmp_path: Path) -> None:
    assert main(["convert", name, "--repository", str(tmp_path)]) == 0
    card = read_card(tmp_path / f"{name}-random/1")
    assert card.network.parameters == NETWORKS[name].parameters
    assert card.proof.max_abs_difference <= 1e-4
    assert card.proof.batch_sizes == (1, 7)
    assert card.proof.fitted_random_weights
    keras.backend.clear_session()
    gc.collect()
