"""Conformal label sets held to their promise: measured coverage and average size over a whole test set, by target.

    python -m bench.coverage lenet5-mnist --dataset mnist --repository repository

Coverage is a lower bound: 90 % of sets of a network that is right in 99 % of images hold the true class far more often.
Targets above the network's own accuracy are where sets grow beyond one label, so those are what to look at.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
import numpy.typing as npt

from artifact.card import ScoreQuantiles
from artifact.layout import MODEL_FILE
from export.data.datasets import load_dataset
from export.data.samples import decode_samples
from export.progress import Progress
from export.proof.runtime import open_session, run_graph
from export.publish.read_back import CHUNK, open_published

TARGETS = (0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999)


def measure(
    probabilities: npt.NDArray[np.float32], labels: npt.NDArray[np.int64], quantiles: ScoreQuantiles, target: float
) -> tuple[float, float]:
    """The share of sets that hold the true class, and their mean size, for probabilities [n, classes]."""
    # As the service does it: the most probable class is always in its set.
    sets = probabilities >= 1 - quantiles.score_at(target)
    sets[np.arange(len(sets)), probabilities.argmax(axis=1)] = True
    return float(sets[np.arange(len(labels)), labels].mean()), float(sets.sum(axis=1).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description="Measured coverage and size of conformal label sets.")
    parser.add_argument("model")
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--repository", type=Path, required=True)
    parser.add_argument("--data-dir", type=Path, default=os.environ.get("CONVSERVE_DATA_DIR"))
    options = parser.parse_args()
    published = open_published(options.repository, options.model)
    quantiles, policy = published.card.score_quantiles, published.card.image
    if quantiles is None:
        raise SystemExit(f"{options.model} has no score quantiles: it was not trained here")
    samples, parts = load_dataset(options.dataset, options.data_dir).test, []
    session = open_session(str(published.folder / MODEL_FILE))
    with Progress("running", len(samples)) as progress:
        for start in range(0, len(samples), CHUNK):
            chunk = range(start, min(start + CHUNK, len(samples)))
            parts.append(run_graph(session, decode_samples(samples, chunk, policy), CHUNK).probabilities)
            progress.advance(len(chunk))
    probabilities = np.concatenate(parts)
    accuracy = (probabilities.argmax(axis=1) == samples.labels).mean()
    print(f"{options.model} on {len(samples):,} images of {options.dataset}: top-1 {accuracy:.2%}")
    print(f"{'target':>8} {'coverage':>9} {'mean size':>10}")
    for target in TARGETS:
        if target <= quantiles.coverage[-1]:
            coverage, size = measure(probabilities, samples.labels, quantiles, target)
            print(f"{target:>8.1%} {coverage:>9.2%} {size:>10.3f}{'' if target > accuracy else '   below top-1'}")


if __name__ == "__main__":
    main()
