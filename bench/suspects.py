"""Labels flipped on purpose, and how many of them are among the first suspects.

    python -m bench.suspects [--dataset fashion-mnist] [--recipe NAME] [--share 0.03] [--folds 4]

Exits with 1 where fewer than LEAST of the flipped labels are among as many of the first suspects.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from export.cli.options import add_data_dir, positive
from export.cli.quiet_import import load_keras

LEAST = 0.7


def flip_labels(
    labels: npt.NDArray[np.int64], classes: int, share: float, seed: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.intp]]:
    """The labels [n], 0 to `classes` - 1, with a share of them made another class, each equally likely, and the places
    [flipped] of these.
    """
    generator = np.random.default_rng(seed)
    places = generator.choice(len(labels), round(share * len(labels)), replace=False)
    flipped = labels.copy()
    flipped[places] = (labels[places] + generator.integers(1, classes, len(places))) % classes
    return flipped, places


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_data_dir(parser)
    parser.add_argument("--dataset", default="fashion-mnist", help="default: %(default)s")
    parser.add_argument("--recipe", help="a shipped one, or a file (default: lenet5's on the data set)")
    parser.add_argument("--epochs", type=positive, help="other than the recipe's")
    parser.add_argument("--share", type=float, default=0.03, help="of the labels that are flipped (default: 0.03)")
    parser.add_argument("--folds", type=positive, default=4, help="default: 4")
    parser.add_argument("--seed", type=int, default=0, help="of the flips and of training (default: %(default)s)")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="keep trainings there: the same command continues where it stopped",
    )
    options = parser.parse_args()
    load_keras()
    from export.data.samples import relabel
    from export.report.suspects import find_suspects
    from export.training.held_out import predict_by_folds
    from export.training.initial.begin import Words, begin
    from export.training.recipes.files import read_recorded

    words = Words(
        network=None if options.recipe else "lenet5",
        dataset=options.dataset,
        data_dir=options.data_dir,
        seed=options.seed,
        changes=[("epochs", options.epochs)] if options.epochs else [],
    )
    begun = begin(words, read_recorded(options.recipe) if options.recipe else None)
    dataset = begun.dataset
    assert dataset.train is not None
    labels, wrong = flip_labels(dataset.train.labels, len(dataset.labels), options.share, options.seed)
    noisy = relabel(dataset.train, np.arange(len(dataset.labels)))
    noisy.labels = labels
    begun = replace(begun, dataset=replace(dataset, train=noisy))
    with tempfile.TemporaryDirectory() as folder:
        probabilities = predict_by_folds(begun, options.folds, options.out or Path(folder))
    if options.out:
        np.savez_compressed(options.out / "probabilities.npz", probabilities=probabilities, labels=labels, wrong=wrong)
    print(
        f"{len(wrong):,} of {len(labels):,} labels of {dataset.name} flipped; {begun.recipe.network}, "
        f"{begun.recipe.epochs} epochs, {options.folds} folds"
    )
    found = find_suspects(probabilities, labels)
    share = np.isin(found.places[: len(wrong)], wrong).sum() / len(wrong)
    print(
        f"{share:.1%} of them are among the first {len(wrong):,} of {len(found):,} suspects; "
        f"{found.wrong_share:.1%} of the labels are estimated to be wrong"
    )
    return 0 if share >= LEAST else 1


if __name__ == "__main__":
    sys.exit(main())
