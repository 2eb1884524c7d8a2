"""Out-of-sample probabilities: each image's from a network that wasn't trained on it, of one run or by
cross-validation.
"""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt

from export.data.holdout import split_folds
from export.data.samples import PartOfSamples, Samples
from export.errors import UsageError
from export.progress import say
from export.report.calibration import Floats, softmax
from export.sources.keras_file import load_keras_file
from export.sources.load_options import LoadOptions
from export.sources.run_folder import RUN_FILE, read_run, trained_file
from export.training.finish import predict_logits
from export.training.initial.begin import Beginning
from export.training.train import train


def predict_run(folder: Path, samples: Samples, load: LoadOptions) -> Floats:
    """Calibrated float64 [n, classes] of a finished run.

    Raises DataError where it isn't finished, ConversionError where `load` doesn't say what its layers need.
    """
    model = load_keras_file(trained_file(folder), load.definitions(), unsafe=load.unsafe)
    return _predict(folder, model, samples)


def refuse_seen_images(folder: Path, weights: str, dataset: str) -> None:
    """Raise UsageError where the trainings of a run's folds couldn't begin with the `weights` that its own began with:
    they aren't there, or are those of a run that has seen the images of `dataset`.
    """
    began = Path(weights)
    if weights in ("", "imagenet"):
        return
    if not began.exists():
        raise UsageError(
            f"--folds: {folder} began with the weights of {weights}, and so would its folds, but {weights} isn't in "
            "this folder: run the command in the one that has it"
        )
    home = began if began.is_dir() else began.parent
    if not (home / RUN_FILE).is_file():
        return
    before = read_run(home)
    if before.dataset == dataset:
        raise UsageError(
            f"--folds: {folder} began with the weights of {home}, which was trained on {dataset} itself, so that no "
            f"image is held out of its folds: name {home} instead"
        )
    refuse_seen_images(folder, str(before.recipe.get("weights", "")), dataset)


def predict_by_folds(begun: Beginning, folds: int, folder: Path) -> Floats:
    """Calibrated float64 [n, classes] for all training images, each by a training that it was held out of.

    Every fold is an ordinary run in `folder`, whose test images are the fold: what was stopped goes on where it was.
    They are removed once all are done. Raises UsageError for more folds than the smallest class has images, and as
    `train` does.
    """
    dataset = begun.dataset
    assert dataset.train is not None
    labels = dataset.train.labels
    fewest = int(np.bincount(labels)[np.unique(labels)].min())
    if folds > fewest:
        raise UsageError(f"--folds {folds}: the smallest class has {fewest} images, a fold needs one of each class")
    parts = split_folds(labels, folds, begun.seed)
    home = folder / f"folds-{_digest(labels, folds)}"
    found = np.empty((len(labels), len(dataset.labels)))
    for number, held_out in enumerate(parts, start=1):
        say(f"fold {number} of {folds}: {len(held_out):,} images are held out")
        others = np.setdiff1d(np.arange(len(labels)), held_out, assume_unique=True)
        fold = PartOfSamples(dataset.train, held_out)
        run = replace(dataset, train=PartOfSamples(dataset.train, others), test=fold)
        train(begun.recipe, run, home / f"{number}", initial=begun.initial, seed=begun.seed, data_dir=begun.data_dir)
        file, initial = trained_file(home / f"{number}"), begun.initial
        model = load_keras_file(file, initial.definitions, unsafe=initial.unsafe)
        found[held_out] = _predict(home / f"{number}", model, fold)
    shutil.rmtree(home)
    return found


def _predict(folder: Path, model: keras.Model, samples: Samples) -> Floats:
    run = read_run(folder)
    return softmax(predict_logits(model, run, samples, np.arange(len(samples))), run.temperature)


def _digest(labels: npt.NDArray[np.int64], folds: int) -> str:
    """Of the labels: a fold that was trained on others isn't taken up again, an image might be in it now."""
    return hashlib.sha256(labels.astype("<i8").tobytes() + f"{folds}".encode()).hexdigest()[:8]
