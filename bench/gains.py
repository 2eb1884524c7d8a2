"""What a field of a recipe gives: one small network trained without it and with it, all else and the seeds the same.

    python -m bench.gains common
    python -m bench.gains imbalanced --seeds 2

Every training is a run folder in --out, so that the same command continues where it was stopped.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from artifact.figures.evaluation import Evaluation
from export.cli.options import add_data_dir
from export.cli.quiet_import import load_keras
from export.data.datasets import DataSet, load_dataset
from export.data.samples import ArraySamples
from export.training.recipes.files import read_recorded
from export.training.recipes.recipe import change


@dataclass(frozen=True)
class Comparison:
    """A shipped recipe, made short, on a part of its set, and what is changed in it, by name."""

    recipe: str
    short: Mapping[str, Any]
    rarest: float
    """The share of its training images that the rarest class keeps; see `cut_classes`."""
    images: int
    changes: Mapping[str, Mapping[str, Any]]


COMPARISONS = {
    "common": Comparison(
        "resnet18-cifar10",
        {"options.width": 8, "epochs": 12, "patience": 12, "ema": 0.0},
        1.0,
        8_000,
        {
            "as it is: flip and shift": {},
            "ema=0.99": {"ema": 0.99},
            "mixup=0.2": {"augmentation.mixup": 0.2},
            "cutmix=1": {"augmentation.cutmix": 1},
            "random_erasing=0.5": {"augmentation.random_erasing": 0.5},
            "rand_augment=2, rand_augment_magnitude=9": {
                "augmentation.rand_augment": 2,
                "augmentation.rand_augment_magnitude": 9,
            },
        },
    ),
    "imbalanced": Comparison(
        "lenet5-fashion-mnist",
        {"epochs": 12, "patience": 12},
        0.01,
        60_000,
        {
            "as it is": {},
            "class_weights=true": {"class_weights": True},
            "balanced_sampling=true": {"balanced_sampling": True},
            "focal_gamma=2": {"focal_gamma": 2.0},
            "class_weights=true, focal_gamma=2": {"class_weights": True, "focal_gamma": 2.0},
        },
    ),
}


def cut_classes(labels: npt.NDArray[np.int64], rarest: float) -> npt.NDArray[np.intp]:
    """Indices, in order, of what is left of the images with these `labels` [n] where the first class keeps all of its
    images, the last the share `rarest` (0..1), and those between fall from one to the next by the same factor (Cui et
    al. 2019); the first images of each stay.
    """
    classes = np.unique(labels)
    shares = rarest ** (np.arange(len(classes)) / max(len(classes) - 1, 1))
    members = [np.flatnonzero(labels == label) for label in classes]
    kept = [places[: round(len(places) * share)] for places, share in zip(members, shares, strict=True)]
    return np.sort(np.concatenate(kept))


def cut_dataset(dataset: DataSet, comparison: Comparison) -> DataSet:
    assert isinstance(dataset.train, ArraySamples)
    images, labels = dataset.train.images[: comparison.images], dataset.train.labels[: comparison.images]
    kept = cut_classes(labels, comparison.rarest)
    return replace(dataset, train=ArraySamples(images[kept], labels[kept]))


def markdown_table(found: Mapping[str, list[Evaluation]]) -> str:
    """A row a change: the mean over seeds, and the range where there are several."""
    rows = ["| change | top-1 | balanced accuracy | macro F1 | calibration error |", "|---|---:|---:|---:|---:|"]
    for title, evaluations in found.items():
        columns = [[getattr(one, name) for one in evaluations] for name in ("top1", "balanced_accuracy", "macro_f1")]
        cells = [_describe(column) for column in columns]
        error = np.mean([one.ece for one in evaluations])
        rows.append(f"| `{title}` | {' | '.join(cells)} | {error:.3f} |")
    return "\n".join(rows)


def _describe(values: list[float]) -> str:
    mean, spread = 100 * np.mean(values), 100 * (max(values) - min(values)) / 2
    return f"{mean:.2f} %" + (f" +- {spread:.2f}" if len(values) > 1 else "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("comparison", choices=COMPARISONS)
    parser.add_argument("--seeds", type=int, default=1, help="trainings of each, by the seeds 0, 1, ... (default: 1)")
    parser.add_argument("--out", type=Path, default=Path("runs/gains"), help="run folders (default: runs/gains)")
    add_data_dir(parser)
    options = parser.parse_args()
    load_keras()
    from export.training.train import train

    comparison = COMPARISONS[options.comparison]
    recipe = change(read_recorded(comparison.recipe).recipe, comparison.short.items())
    dataset = cut_dataset(load_dataset(recipe.dataset, options.data_dir), comparison)
    found: dict[str, list[Evaluation]] = {title: [] for title in comparison.changes}
    for seed in range(options.seeds):
        for number, (title, changes) in enumerate(comparison.changes.items()):
            print(f"{title}, seed {seed}", flush=True)
            folder = options.out / options.comparison / f"{number}-{seed}"
            run = train(change(recipe, changes.items()), dataset, folder, seed=seed, data_dir=options.data_dir)
            assert run.evaluation is not None
            found[title].append(run.evaluation)
    print(markdown_table(found))


if __name__ == "__main__":
    main()
