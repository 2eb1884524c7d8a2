from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest

from artifact.card import NetworkInfo, Provenance
from artifact.image_policy import ImagePolicy
from export.data.preprocessing import preset
from export.data.samples import ArraySamples
from export.sources.source import ProofImages, Source


def needs(variable: str, *parts: str) -> Path:
    """A file or folder of the real data; skips where the variable names none, fails where it is set but incomplete."""
    root = os.environ.get(variable)
    if root is None:
        pytest.skip(f"needs {'/'.join(parts) or 'real data sets'}: set {variable}")
    path = Path(root, *parts)
    assert path.exists(), f"{variable} is set, but {path} does not exist"
    return path


@pytest.fixture(scope="session")
def data_dir() -> Path:
    return needs("CONVSERVE_DATA_DIR")


@pytest.fixture(scope="session")
def mobilenet_file() -> Path:
    return needs("CONVSERVE_WEIGHTS_DIR", "mobilenet_v2_1.0_224.keras")


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `repository` and `runs` after `build quickstart`: the embedded default, trained for real."""
    from export.cli.main import main

    root = tmp_path_factory.mktemp("built")
    assert main(["build", "quickstart", "--repository", str(root / "repository"), "--runs", str(root / "runs")]) == 0
    return root


def color_blobs(count: int = 24, size: int = 12, seed: int = 0) -> ArraySamples:
    """RGB images of three classes, each mostly of one color channel, with noise."""
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    images = generator.integers(0, 120, (count, size, size, 3))
    images[np.arange(count), :, :, labels] += 110
    return ArraySamples(images.astype(np.uint8), labels)


@pytest.fixture
def color_source() -> Source:
    """A small trained-looking RGB network with everything that a conversion needs."""
    import keras

    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input((12, 12, 3), name="image"),
            keras.layers.Conv2D(6, 3, activation="relu", name="first"),
            keras.layers.Conv2D(8, 3, strides=2, activation="relu", name="second"),
            keras.layers.GlobalAveragePooling2D(name="pool"),
            keras.layers.Dense(3, name="logits"),
        ]
    )
    kernel, bias = model.get_layer("logits").get_weights()
    model.get_layer("logits").set_weights([kernel * 4, bias])
    samples = color_blobs()
    return Source(
        name="blobs",
        model=model,
        provenance=Provenance(
            license="CC0-1.0",
            network=NetworkInfo(name="blobs", origin="keras-file", parameters=model.count_params(), weights="random"),
            labels=("red", "green", "blue"),
            image=ImagePolicy(height=12, width=12, channels=3),
            preprocessing=preset("tf", 3),
        ),
        head="logits",
        images=ProofImages(samples, "color blobs", None),
    )
