"""Ends a training: calibrates on validation images, measures on test images, writes the report."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from artifact.card import Training
from export.data.datasets import DataSet
from export.data.samples import Samples
from export.errors import TrainingError
from export.progress import say
from export.report import plots
from export.report.calibration import (
    LEAST_IMAGES,
    calibrate,
    describe_distribution,
    log_sum_exp,
    measure_foreign,
    score_quantiles,
    softmax,
)
from export.report.evaluation import describe_evaluation, evaluate, write_report
from export.sources.proof_images import choose_foreign_images
from export.sources.run_folder import Run, disk_in_a_line
from export.training.batches import Batches
from export.training.checkpoint import State
from export.training.recipes.recipe import Recipe
from models.counts import count_parameters


def measure(
    run: Run,
    model: keras.Model,
    dataset: DataSet,
    validation: npt.NDArray[np.intp],
    recipe: Recipe,
    state: State,
    report: Path,
) -> Run:
    """The finished run of `model`, whose output is logits [n, classes]; `validation` [n] indexes the data set's
    training images. Its pictures and figures are written into the folder `report`.
    """
    assert dataset.train is not None
    seen, labels = predict_logits(model, run, dataset.train, validation), dataset.train.labels[validation]
    warn_of_divergence(state, len(dataset.labels), recipe.learning_rate)
    calibration = calibrate(seen, labels, f"{dataset.title} validation")
    temperature = calibration.temperature if calibration is not None else 1.0
    if calibration is None:
        say(
            f"only {len(labels)} validation images, {LEAST_IMAGES} are needed: probabilities stay uncalibrated "
            "(temperature 1), and the card has no label sets and no warning of unfamiliar images; add training images"
        )
    probabilities = softmax(predict_logits(model, run, dataset.test, np.arange(len(dataset.test))), temperature)
    evaluation = evaluate(probabilities, dataset.test.labels, dataset.title)
    with disk_in_a_line(report.parent):
        try:
            write_report(report, probabilities, dataset.test.labels, dataset.labels, evaluation)
            curves = report / "curves.png"
            plots.draw_curves(state.history, state.best_epoch, recipe.best_by, len(labels), curves)
        except OSError:
            shutil.rmtree(report, ignore_errors=True)
            raise
    say(
        f"best epoch {state.best_epoch}: on {evaluation.images:,} test images {describe_evaluation(evaluation)} "
        f"(temperature {temperature:g})"
    )
    tempered = softmax(seen, temperature)
    distribution = describe_distribution(tempered, log_sum_exp(seen, temperature))
    if distribution is not None and (least := distribution.least_energy) is not None:
        others, source = choose_foreign_images(run.image.channels)
        energy = log_sum_exp(predict_logits(model, run, others, np.arange(len(others))), temperature)
        distribution = distribution.model_copy(update={"foreign": measure_foreign(energy, source, least)})
    training = Training(
        dataset=dataset.title,
        images_digest=state.images,
        images=len(dataset.train) - len(validation),
        validation_images=len(validation),
        epochs=state.epoch,
        seed=run.seed,
        recipe=recipe.summary(),
        seconds=round(state.seconds, 1),
        backend=f"keras {keras.__version__} on {keras.backend.backend()}",
    )
    found: dict[str, Any] = {
        "network": run.network.model_copy(update={"parameters": count_parameters(model)}),
        "training": training,
        "evaluation": evaluation,
        "calibration": calibration,
        "score_quantiles": score_quantiles(tempered, labels),
        "distribution": distribution,
    }
    return run.model_copy(update=found)


def predict_logits(
    model: keras.Model, run: Run, samples: Samples, indices: npt.NDArray[np.intp]
) -> npt.NDArray[np.float32]:
    """float32 [len(indices), classes] of the network of a run. Raises TrainingError where one isn't finite."""
    batches = Batches(samples, indices, len(run.labels), run.image, run.preprocessing, 256)
    logits = np.asarray(model.predict(batches, verbose=0))
    if not np.isfinite(logits).all():
        raise TrainingError(
            "the trained network's answer is not finite (NaN or infinity): the training diverged; train again into "
            "another folder (--out) with a smaller --learning-rate"
        )
    return logits


def warn_of_divergence(state: State, classes: int, rate: float) -> None:
    """A line where accuracy is that of guessing and the loss ten times that of guessing, or more."""
    if state.best_accuracy <= 2 / classes and state.best_loss > 10 * math.log(classes):
        say(
            f"the network learned nothing: validation accuracy {state.best_accuracy:.2%} is that of guessing among "
            f"{classes} classes, and the loss {state.best_loss:.2g} says that the training diverged; train again into "
            f"another folder (--out) with a --learning-rate below {rate:g}"
        )
