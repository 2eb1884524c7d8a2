"""Benchmark of a cascade: images per second and test accuracy of two models together, compared with the large one
alone.

    python -m bench.cascade --repository repository

The threshold is chosen on validation images so that the cascade loses at most 0.1 points of accuracy there. Then the
test images are posted to `convserve serve` over HTTP in blocks; each block goes to the cascade, to the large model and
to the small one, so that changes in the machine's speed affect all of them. The exit status is 0 if the cascade reaches
at least twice the images per second of the large model and loses at most 0.2 points. Models that the repository lacks
are trained first: by their recipes, or quickly with --epochs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from app.client.load.connection import Connection, Request
from app.client.terminal import end_like_ctrl_c
from artifact.images.formats import MEDIA_TYPES
from artifact.layout import list_versions
from bench.service import serving
from bench.verdict import print_bounds
from export.cli.options import add_data_dir
from export.data.datasets import DataSet, load_dataset
from export.data.samples import Samples
from export.publish.cascade import choose_cascade
from export.publish.published import Published, open_published
from export.report.cascade import Threshold

ALIAS = "cascade"
BLOCK = 500
LEAST_RATIO, MOST_LOST = 2.0, 0.002


@dataclass
class Tally:
    """Counts of the answers of one model or cascade. `speakers` counts, by model, which one gave the answer; `skipped`
    the images for which the cascade's second model had no time or place.
    """

    seconds: float = 0.0
    right: int = 0
    images: int = 0
    answers_of: Counter[str] = field(default_factory=Counter)
    skipped: int = 0

    def record(self, answer: bytes, label: int) -> None:
        parsed = json.loads(answer)
        (prediction,) = parsed["predictions"]
        self.images += 1
        self.right += prediction["classes"][0]["index"] == label
        self.answers_of[prediction.get("model", parsed["model"])] += 1
        self.skipped += "second" in prediction

    @property
    def accuracy(self) -> float:
        return self.right / self.images

    @property
    def rate(self) -> float:
        """Images a second."""
        return self.images / self.seconds


async def post_block(port: int, model: str, images: Sequence[tuple[bytes, str]], connections: int) -> list[bytes]:
    """Post encoded images, each with its file suffix, over `connections` connections; returns the answers in order."""
    answers = [b""] * len(images)
    waiting = iter(range(len(images)))

    async def post() -> None:
        connection = Connection(port)
        for place in waiting:
            data, suffix = images[place]
            kind = MEDIA_TYPES.get(suffix, "application/octet-stream")
            answer = await connection.send(Request(f"/predict/{model}?top_k=1", data, {"Content-Type": kind}))
            assert answer.status == 200, answer
            answers[place] = answer.body
        connection.close()

    await asyncio.gather(*(post() for _ in range(connections)))
    return answers


def measure(port: int, names: Sequence[str], samples: Samples, count: int, connections: int) -> dict[str, Tally]:
    """Post the first `count` samples, in blocks, to each of `names` in alternating order."""
    tallies = {name: Tally() for name in names}
    warm = [samples.encoded(index) for index in range(min(64, count))]
    for name in names:
        asyncio.run(post_block(port, name, warm, connections))
    for start in range(0, count, BLOCK):
        indices = range(start, min(start + BLOCK, count))
        images = [samples.encoded(index) for index in indices]
        turns = names if start // BLOCK % 2 else tuple(reversed(names))
        for name in turns:
            began = time.perf_counter()
            answers = asyncio.run(post_block(port, name, images, connections))
            tallies[name].seconds += time.perf_counter() - began
            for answer, index in zip(answers, indices, strict=True):
                tallies[name].record(answer, int(samples.labels[index]))
    return tallies


def publish(name: str, repository: Path, epochs: int | None) -> None:
    """Train a model by the recipe of its name where the repository lacks it. Raises CalledProcessError."""
    if list_versions(repository / name):
        return
    base, runs = [sys.executable, "-m", "export"], repository.parent / "runs"
    if epochs is None:
        commands = [["build", name, "--runs", str(runs), "--repository", str(repository)]]
    else:
        network, _, dataset = name.partition("-")
        run = str(runs / f"{name}-{epochs}-epochs")
        commands = [
            ["train", network, "--dataset", dataset, "--epochs", str(epochs), "--out", run],
            ["convert", run, "--name", name, "--repository", str(repository)],
        ]
    for command in commands:
        subprocess.run([*base, *command], check=True, stdout=sys.stderr)


def choose_for(first: Published, then: Published, dataset: DataSet, accuracy: float | None) -> Threshold:
    """The threshold for an accuracy; None is that of `then` alone less half of what may be lost."""
    if accuracy is None:
        accuracy = choose_cascade(first, then, dataset, None).second_accuracy - MOST_LOST / 2
    return choose_cascade(first, then, dataset, accuracy)


def report(first: str, then: str, chosen: Threshold, tallies: dict[str, Tally]) -> int:
    """Print what was seen; 0 where both bounds were kept."""
    both, alone = tallies[ALIAS], tallies[then]
    print(
        f"{first} before {then} where p < {chosen.probability:g}, chosen on {chosen.images:,} validation images "
        f"(there {chosen.accuracy:.2%}, {then} alone {chosen.second_accuracy:.2%}, asked for {chosen.asked:.1%})"
    )
    print(f"{'':>24} {'images/s':>9} {'accuracy':>9}")
    for name, tally in tallies.items():
        print(f"{name:>24} {tally.rate:>9,.0f} {tally.accuracy:>9.2%}")
    print(
        f"of {both.images:,} test images {then} answered {both.answers_of[then] / both.images:.1%}, "
        f"{both.skipped:,} were skipped"
    )
    ratio, lost = both.rate / alone.rate, alone.accuracy - both.accuracy
    kept = {
        f"{ratio:.2f} times the images/s of {then} alone (goal: {LEAST_RATIO:g})": ratio >= LEAST_RATIO,
        f"accuracy {-lost * 100:+.2f} points (goal: -{MOST_LOST * 100:g} or better)": round(lost, 6) <= MOST_LOST,
        "nothing skipped": not both.skipped,
    }
    return print_bounds(kept)


@end_like_ctrl_c()
def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repository", type=Path, default=Path("repository"), help="default: %(default)s")
    parser.add_argument("--first", default="lenet5-fashion-mnist", help="default: %(default)s")
    parser.add_argument("--then", default="resnet18-fashion-mnist", help="default: %(default)s")
    parser.add_argument("--dataset", default="fashion-mnist", help="default: %(default)s")
    add_data_dir(parser)
    parser.add_argument("--accuracy", type=float, help="on validation images (default: the large model's less 0.001)")
    parser.add_argument("--images", type=int, default=10_000, help="test images (default: %(default)s)")
    parser.add_argument("--connections", type=int, default=32, help="default: %(default)s")
    parser.add_argument("--epochs", type=int, help="of models that have to be trained first (default: the recipe's)")
    given = parser.parse_args()
    for name in (given.first, given.then):
        publish(name, given.repository, given.epochs)
    dataset = load_dataset(given.dataset, given.data_dir)
    first, then = (open_published(given.repository, name) for name in (given.first, given.then))
    chosen = choose_for(first, then, dataset, given.accuracy)
    count = min(given.images, len(dataset.test))
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder, "settings.toml")
        when = f"p < {chosen.probability:g}"
        settings.write_text(
            f'[aliases.{ALIAS}]\nfirst = "{given.first}"\nthen = "{given.then}"\nwhen = "{when}"\n', encoding="utf-8"
        )
        flags = ("--settings", str(settings), "--load", given.first, "--load", given.then)
        with serving("--repository", str(given.repository), *flags) as server:
            names = (ALIAS, given.then, given.first)
            tallies = measure(server.port, names, dataset.test, count, given.connections)
    return report(given.first, given.then, chosen, tallies)


if __name__ == "__main__":
    raise SystemExit(main())
