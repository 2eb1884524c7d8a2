"""Training from a manifest by the commands; the batches of every form: tests/export/data/stored."""

from __future__ import annotations

import json
from pathlib import Path

import keras
import numpy as np
import pytest

from artifact.image_policy import ImagePolicy
from artifact.layout import CARD_FILE
from export.cli.main import main
from export.data.preprocessing import preset
from export.data.samples import ArraySamples
from export.sources.run_folder import KERAS_FILE, read_run
from export.training import callbacks
from export.training.batches import Batches
from export.training.callbacks import Epochs
from export.training.checkpoint import Checkpoint, State
from tests.export.training.test_train import RECIPE
from tests.makers.stored_sets import write_manifest

WORDS = ("--fit", "stretch", "--epochs", "1", "--set", "rotate=3")


@pytest.fixture(scope="module")
def run(digit_folders: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "folder"
    assert main(["train", "lenet5", "--dataset", str(digit_folders), *WORDS, "--out", str(folder)]) == 0
    return folder


def weights_of(folder: Path) -> list[np.ndarray]:
    return keras.models.load_model(folder / KERAS_FILE).get_weights()


def test_a_manifests_training_with_a_cache_ends_in_the_folders_network_and_is_proved_on_the_same_images(
    run: Path, digit_folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = {path.relative_to(digit_folders).as_posix(): path.read_bytes() for path in digit_folders.glob("*/*.png")}
    dataset = write_manifest(images, tmp_path / "three-digits.csv")
    words = ["train", "lenet5", "--dataset", str(dataset), *WORDS, "--out", str(tmp_path / "run")]
    assert main([*words, "--cache", str(tmp_path / "cache")]) == 0
    assert "% waiting for data" in capsys.readouterr().err
    assert all(map(np.array_equal, weights_of(tmp_path / "run"), weights_of(run)))
    there, folders = read_run(tmp_path / "run"), read_run(run)
    assert (there.preprocessing, there.labels, there.split) == (folders.preprocessing, folders.labels, folders.split)
    assert there.evaluation is not None
    assert folders.evaluation is not None
    assert there.evaluation.top1 == folders.evaluation.top1

    repository = tmp_path / "repository"
    assert main(["convert", str(tmp_path / "run"), "--repository", str(repository)]) == 0
    card = json.loads((repository / "lenet5-three-digits/1" / CARD_FILE).read_text())
    assert card["evaluation"]["images"] == there.evaluation.images  # those that were kept to test
    capsys.readouterr()
    words = ["evaluate", "lenet5-three-digits", "--dataset", str(dataset), "--repository", str(repository), "--json"]
    assert main(words) == 0
    assert json.loads(capsys.readouterr().out)["images"] == there.evaluation.images


def test_a_cache_for_images_in_memory_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", "lenet5", "--dataset", "digits", "--cache", str(tmp_path), "--out", str(tmp_path / "run")]
    assert main(words) == 2
    assert "digits has no image files to decode" in capsys.readouterr().err


def test_the_share_that_steps_wait_is_from_the_last_steps_end_to_the_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = ArraySamples(np.zeros((6, 28, 28), np.uint8), [0, 1] * 3)
    batches = Batches(samples, np.arange(6), 2, ImagePolicy(height=28, width=28, channels=1), preset("unit", 1), 2)
    clock = iter((100.0, 110.0, 120.0, 130.0))
    epochs = Epochs(RECIPE, State(), Checkpoint(tmp_path, {}), batches)
    monkeypatch.setattr(callbacks.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(callbacks, "Progress", _Silent)
    epochs.on_epoch_begin(0)
    batches.ready[:] = 104, 106, 125  # 4 s late, before it was needed, 5 s late
    found = []
    for batch in range(3):
        epochs.on_train_batch_end(batch, {"loss": 1.0})
        found.append(epochs.waiting)
    assert found == pytest.approx([4 / 10, 4 / 20, 9 / 30])


class _Silent:
    def __init__(self, *_: object) -> None:
        pass

    def advance(self, note: str) -> None:
        assert note.endswith("% waiting for data,")
