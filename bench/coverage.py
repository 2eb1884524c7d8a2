"""Conformal label sets held to their promise: measured coverage and average size over a whole test set, by target.

    python -m bench.coverage lenet5-mnist --dataset mnist --repository repository

Coverage is a lower bound: 90 % of sets of a network that is right in 99 % of images hold the true class far more often.
Targets above the network's own accuracy are where sets grow beyond one label, so those are what to look at.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from app.errors import InvalidParameter
from app.inference.labels import count_set, find_score, rank
from app.inference.model import prepare_session
from app.inference.scores import Scores
from app.settings import Settings
from artifact.images.frame import Pixels
from export.cli.options import add_data_dir
from export.data.datasets import load_dataset
from export.data.samples import run_samples
from export.publish.published import open_published

TARGETS = (0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999)


def measure(answers: Sequence[Scores], labels: npt.NDArray[np.int64], score: float) -> tuple[float, float]:
    """The share of label sets that hold the true class, and their mean size, by the service's own rule.

    `labels` is [n], one true class an answer; `score` the conformal quantile of a coverage.
    """
    sizes = [count_set(answer, score) for answer in answers]
    sets = [{index for index, _ in rank(answer, size)} for answer, size in zip(answers, sizes, strict=True)]
    held = [label in found for label, found in zip(labels.tolist(), sets, strict=True)]
    return float(np.mean(held)), float(np.mean(sizes))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--repository", type=Path, required=True)
    add_data_dir(parser)
    options = parser.parse_args()
    published = open_published(options.repository, options.model)
    ready = prepare_session(published.folder, Settings(device="cpu"))
    session, size = ready.session, ready.session.max_batch_size

    def run(pixels: Pixels) -> list[Scores]:
        rows = list(pixels)
        return [scores for start in range(0, len(rows), size) for scores in session.run(rows[start : start + size])]

    samples = load_dataset(options.dataset, options.data_dir).test
    parts = run_samples(samples, ready.card.image, run, title="running")
    answers = [scores for part in parts for scores in part]
    accuracy, _ = measure(answers, samples.labels, 0)
    print(f"{options.model} on {len(samples):,} images of {options.dataset}: top-1 {accuracy:.2%}")
    print(f"{'target':>8} {'coverage':>9} {'mean size':>10}")
    for target in TARGETS:
        try:
            score = find_score(ready.card, target)
        except InvalidParameter as error:
            print(f"{target:>8.1%} {error.detail}")
            continue
        coverage, mean_size = measure(answers, samples.labels, score)
        print(f"{target:>8.1%} {coverage:>9.2%} {mean_size:>10.3f}{'' if target > accuracy else '   below top-1'}")


if __name__ == "__main__":
    main()
