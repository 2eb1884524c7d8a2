from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from export.data.datasets import load_dataset
from export.data.samples import ArraySamples
from export.errors import UsageError
from export.report.suspects import find_suspects
from export.training.held_out import predict_by_folds, refuse_seen_images
from export.training.initial.begin import Words, begin

CHANGES = [("epochs", 8), ("batch_size", 16), ("learning_rate", 4e-3)]


def once(build: Callable[[], keras.Model]) -> Callable[[], keras.Model]:
    """The second time it is stopped."""
    made: list[keras.Model] = []

    def stop() -> keras.Model:
        if made:
            raise KeyboardInterrupt
        made.append(build())
        return made[0]

    return stop


def test_wrong_labels_of_drawn_digits_are_found_by_networks_that_never_saw_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    digits = load_dataset("digits", None)
    assert isinstance(digits.train, ArraySamples)
    labels = digits.train.labels[:400].copy()
    wrong = np.arange(0, 400, 20)
    labels[wrong] = (labels[wrong] + np.arange(1, 21) % 9 + 1) % 10
    begun = begin(Words("lenet5", "digits", changes=CHANGES))
    begun = replace(begun, dataset=replace(digits, train=ArraySamples(digits.train.images[:400], labels)))
    stopped = replace(begun, initial=replace(begun.initial, build=once(begun.initial.build)))
    with pytest.raises(KeyboardInterrupt):
        predict_by_folds(stopped, 2, tmp_path)
    capsys.readouterr()
    probabilities = predict_by_folds(begun, 2, tmp_path)
    assert probabilities.sum(axis=1) == pytest.approx(np.ones(400))
    found = find_suspects(probabilities, labels)
    # One seed and another find 0.6 to 0.8 of them; by chance it would be 0.05.
    assert np.isin(wrong, found.places[:20]).mean() >= 0.5
    told = capsys.readouterr().err
    assert "fold 2 of 2: 200 images are held out" in told
    assert told.count(", 200 are kept to test") == 1  # what was stopped in its second fold goes on there
    assert "already has this training, finished" in told
    assert list(tmp_path.iterdir()) == []  # fold runs are gone once they have answered


def test_more_folds_than_images_of_a_class_are_refused(tmp_path: Path) -> None:
    digits = load_dataset("digits", None)
    assert isinstance(digits.train, ArraySamples)
    few = replace(digits, train=ArraySamples(digits.train.images[:40], np.arange(40) % 10))
    begun = replace(begin(Words("lenet5", "digits", changes=CHANGES)), dataset=few)
    with pytest.raises(UsageError, match="--folds 5: the smallest class has 4 images"):
        predict_by_folds(begun, 5, tmp_path)


def test_folds_that_would_begin_with_weights_that_have_seen_all_images_are_refused(built: Path) -> None:
    (run,) = (built / "runs").iterdir()
    for weights in (run, run / "model.keras"):
        with pytest.raises(UsageError, match=r"further began with the weights of .* trained on digits itself"):
            refuse_seen_images(Path("further"), str(weights), "digits")
    refuse_seen_images(Path("further"), str(run), "mnist")
    refuse_seen_images(Path("further"), "imagenet", "digits")
