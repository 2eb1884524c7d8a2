"""keras.applications by name: its arithmetic, its weights, and what is said where they can't be had."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from artifact.card import read_card
from export.cli.main import main
from export.data.preprocessing import preset, reference
from export.errors import DataError, UsageError
from export.report.calibration import softmax
from export.sources.keras_file import prepares_pixels
from export.sources.named import applications
from export.sources.named.applications import APPLICATIONS, build_application
from export.sources.named.random_weights import fit_random_weights

PIXELS = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 3), dtype=np.uint8)


def module_of(name: str):
    """The module of keras.applications that a network's preprocess_input lives in."""
    stem = {"resnet50": "resnet", "resnet101": "resnet", "resnet152": "resnet"}.get(name, name)
    for module in sorted(dir(keras.applications), key=len, reverse=True):
        if stem.startswith(module) or (stem.endswith("_v2") and module == "resnet_v2" and stem.startswith("resnet")):
            return getattr(keras.applications, module)
    raise AssertionError(name)


@pytest.mark.parametrize("name", [name for name in APPLICATIONS if APPLICATIONS[name].preprocessing != "none"])
def test_every_name_is_in_keras_and_has_its_arithmetic(name: str) -> None:
    assert callable(getattr(keras.applications, APPLICATIONS[name].members[name]))
    expected = module_of(name).preprocess_input(PIXELS.astype(np.float32))
    actual = reference(PIXELS, preset(APPLICATIONS[name].preprocessing, 3))
    np.testing.assert_allclose(actual, expected, atol=1e-5)


@pytest.mark.parametrize("name", ["mobilenet_v3_small", "efficientnet_b0", "efficientnet_v2_b0", "convnext_tiny"])
def test_families_without_arithmetic_hold_their_own_layers(name: str) -> None:
    with keras.StatelessScope(initialize_variables=False):
        model = build_application(name, None)
    assert prepares_pixels(model)
    keras.backend.clear_session(free_memory=False)


def test_a_convnext_with_random_weights_is_published(tmp_path: Path) -> None:
    labels = tmp_path / "five.txt"
    labels.write_text("\n".join("abcde"))
    words = ["--size", "32x32", "--labels", str(labels), "--repository", str(tmp_path)]
    assert main(["convert", "convnext_tiny", *words]) == 0
    card = read_card(tmp_path / "convnext_tiny-random/1")
    assert (card.network.origin, card.network.weights) == ("keras.applications", "random")
    assert (card.preprocessing.name, card.head) == ("none", "softmax")
    assert card.proof.fitted_random_weights


@pytest.mark.parametrize("closing", ["linear", "softmax"])
def test_random_weights_of_a_convolution_that_gives_the_classes_are_fitted(closing: str) -> None:
    """As MobileNet ends: a convolution of one position, a reshape, a softmax."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Conv2D(6, 3, activation="relu"),
            keras.layers.GlobalAveragePooling2D(keepdims=True),
            keras.layers.Conv2D(5, 1),
            keras.layers.Reshape((5,)),
            keras.layers.Activation(closing),
        ]
    )
    pixels = np.random.default_rng(0).normal(size=(16, 8, 8, 3)).astype(np.float32)
    fit_random_weights(model, pixels)
    outputs = np.asarray(model(pixels))
    probabilities = outputs if closing == "softmax" else softmax(outputs)
    assert 0.2 < np.median(probabilities.max(axis=1)) < 0.3


SMALLEST = (
    *("convnext_tiny", "densenet121", "efficientnet_b0", "efficientnet_v2_b0", "inception_resnet_v2", "mobilenet"),
    *("mobilenet_v2", "mobilenet_v3_small", "nasnet_mobile", "resnet50_v2", "xception"),
)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", SMALLEST)
def test_every_family_is_published_with_random_weights(name: str, tmp_path: Path) -> None:
    assert main(["convert", name, "--repository", str(tmp_path)]) == 0
    card = read_card(tmp_path / f"{name}-random/1")
    assert card.proof.max_abs_difference <= 1e-4


def test_a_download_that_fails_names_the_file_to_lay_by_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("keras.src.utils.file_utils.config.keras_home", lambda: str(tmp_path))
    monkeypatch.setattr("keras.src.backend.config.keras_home", lambda: str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # nothing listens there: no network, at once
    assert main(["convert", "vgg16", "--weights", "imagenet", "--repository", str(tmp_path / "repository")]) == 1
    error = [line for line in capsys.readouterr().err.splitlines() if line.startswith("convserve-export:")]
    assert len(error) == 1
    assert f"{tmp_path}/models/vgg16_weights_tf_dim_ordering_tf_kernels.h5" in error[0]
    assert "--weights FILE" in error[0]


def test_imagenet_weights_have_a_thousand_classes() -> None:
    with pytest.raises(UsageError, match="1,000 classes, --labels names 5"):
        build_application("mobilenet_v2", "imagenet", classes=5)


def test_a_network_of_the_series_without_imagenet_weights_says_which_have_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["convert", "senet154", "--weights", "imagenet", "--repository", str(tmp_path)]) == 2
    assert "mobilenet_v2" in capsys.readouterr().err


@pytest.mark.data
def test_the_real_mobilenet_file_fills_keras_own_definition(mobilenet_file: Path, tmp_path: Path) -> None:
    words = ["convert", "mobilenet_v2", "--weights", str(mobilenet_file), "--repository", str(tmp_path)]
    assert main([*words, "--name", "mobilenet"]) == 0
    card = read_card(tmp_path / "mobilenet/1")
    assert (card.network.weights, card.preprocessing.name, card.image.fit) == (mobilenet_file.name, "tf", "crop")
    assert card.labels[207] == "golden retriever"
    assert not card.proof.fitted_random_weights


def test_half_downloaded_weights_name_the_file_to_delete(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(applications, "_weights_folder", lambda: tmp_path)
    monkeypatch.setattr("keras.applications.MobileNetV2", _read_file(tmp_path / "mobilenet_v2.h5"))
    (tmp_path / "mobilenet_v2.h5").write_bytes(b"x" * 5000)
    with pytest.raises(DataError, match=r"mobilenet_v2\.h5 is damaged, .* delete that file"):
        build_application("mobilenet_v2", "imagenet")


def _read_file(file: Path) -> Callable[..., object]:
    """Stands in for a network whose weights are there already, as Keras reads them."""
    return lambda **options: h5py.File(file)
