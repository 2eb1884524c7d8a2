"""Decides before a training: its images, the arithmetic on pixels, and whether its folder already holds another one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from artifact.image_policy import ImagePolicy, Preprocessing
from export.data.datasets import DataSet
from export.data.preprocessing import custom
from export.data.samples import Samples
from export.errors import UsageError
from export.sources.run_folder import RUN_FILE, Run, read_run
from export.training.initial.initial_network import InitialNetwork
from export.training.recipes.recipe import Recipe, make_recipe


def plan_run(
    recipe: Recipe,
    dataset: DataSet,
    initial: InitialNetwork,
    training: npt.NDArray[np.intp],
    seed: int,
    data_dir: Path | None,
) -> Run:
    """The run as it is known before training; `training` [n] indexes the images that it trains on."""
    assert dataset.train is not None
    return Run(
        model_name=recipe.model_name,
        network=initial.info,
        labels=dataset.labels,
        image=initial.image,
        preprocessing=initial.preprocessing or _measure_pixels(dataset.train, training, initial.image),
        dataset=dataset.name,
        data_dir=str(data_dir.resolve()) if data_dir is not None else None,
        split=dataset.split,
        license=dataset.license,
        seed=seed,
        recipe=recipe.summary(),
    )


def _measure_pixels(samples: Samples, indices: npt.NDArray[np.intp], policy: ImagePolicy) -> Preprocessing:
    """Mean and standard deviation per channel of (at most 2,000) training images."""
    some = indices[:: max(1, len(indices) // 2000)]
    total, squares, count = np.zeros(policy.channels), np.zeros(policy.channels), 0
    for chunk in np.array_split(some, max(1, len(some) // 64)):
        values = samples.pixels(chunk, policy).reshape(-1, policy.channels).astype(np.float64)
        total, squares, count = total + values.sum(axis=0), squares + (values**2).sum(axis=0), count + len(values)
    mean = total / count
    std = np.maximum(np.sqrt(np.maximum(squares / count - mean**2, 0)), 1)
    return custom(tuple(np.round(mean, 3).tolist()), tuple(np.round(std, 3).tolist()))


def refuse_another_training(folder: Path, run: Run) -> None:
    """Raise UsageError, naming what differs, where the folder holds a training with other settings."""
    if not (folder / RUN_FILE).exists():
        return
    there = read_run(folder)
    old, new = _settings(there), _settings(run)
    other = [
        f"{key} {old.get(key)} there, {new.get(key)} now" for key in {**old, **new} if old.get(key) != new.get(key)
    ]
    other += [key for key in ("labels", "image", "preprocessing") if getattr(there, key) != getattr(run, key)]
    if other:
        raise UsageError(
            f"{folder} holds a training of {there.model_name} with other settings "
            f"({'; '.join(other)}): use the same settings, "
            "name another folder with --out, or remove it"
        )


def refuse_other_images(folder: Path, before: str, now: str, dataset: str) -> None:
    """Raise UsageError where the folder's training has seen other images (by their `images_digest`) than there are now:
    some of those that validate would be ones that it was trained on.
    """
    if before not in ("", now):
        raise UsageError(
            f"{folder} holds a training on {dataset}, whose training images have changed since: name another folder "
            "with --out to train on what is there now, or remove this one"
        )


def _settings(run: Run) -> dict[str, Any]:
    """By the recipe's fields, so that those that are newer than the folder have their defaults."""
    named = {"network": run.network.name, "weights": run.network.weights, "dataset": run.dataset, "seed": run.seed}
    return {**make_recipe(run.recipe, f"{RUN_FILE} of {run.model_name}").summary(), **named}
