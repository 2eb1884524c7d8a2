"""What training and conversion cost beside plain Keras and tf2onnx: seconds, CPU and memory, in one run.

    python -m bench.training --epochs 3 lenet5-mnist resnet18-fashion-mnist

For each recipe, by turns, each in a process of its own: `convserve-export build`, from the first import to the last
check of what was published; fit() on arrays with the same augmentation and then tf2onnx (bench/plain_training.py); and
that without augmentation, the floor. An epoch counts from the line of the one before to its own, so with validation and
checkpoint, and the median leaves out the first, in which TensorFlow compiles. The whole is also said for all epochs of
the recipe: what was measured before, between and after them, with as many epochs as it has.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench.load.process_tree import cpu_seconds
from bench.plain_training import add_arguments
from bench.verdict import print_bounds
from export.training.recipes.files import SHIPPED, read_recorded

OURS, PLAIN, FLOOR = "build", "fit + tf2onnx", "without augmentation"
MOST_EPOCH, MOST_WHOLE, MOST_MEMORY = 1.15, 1.25, 1.0

_BEGINS = re.compile(r"training .*\bimages\b")
_EPOCH = re.compile(r"epoch \d+/\d+: ")


@dataclass(frozen=True)
class Cost:
    """Seconds by the clock, and of CPU in all threads."""

    wall: float = 0.0
    cpu: float = 0.0

    def __sub__(self, other: Cost) -> Cost:
        return Cost(self.wall - other.wall, self.cpu - other.cpu)

    def __str__(self) -> str:
        return f"{self.wall:.1f} ({self.cpu:.1f})"


@dataclass
class Course:
    """What a process had taken (wall clock and CPU, in seconds since its start) when its training began, when each
    epoch ended, and when it was over.
    """

    began: Cost = Cost()
    epochs: list[Cost] = field(default_factory=list)
    over: Cost = Cost()
    memory_mb: float = 0.0
    """The largest resident set."""

    @property
    def epoch(self) -> Cost:
        """The median epoch; of the first alone where there is no other."""
        each = [after - before for before, after in zip([self.began, *self.epochs], self.epochs, strict=False)]
        later = each[1:] or each
        return Cost(statistics.median(one.wall for one in later), statistics.median(one.cpu for one in later))

    def whole(self, epochs: int) -> Cost:
        """The cost from start to end, extrapolated to `epochs` epochs."""
        more = epochs - len(self.epochs)
        return Cost(self.over.wall + more * self.epoch.wall, self.over.cpu + more * self.epoch.cpu)


def follow(words: Sequence[str]) -> Course:
    """Run a command and note the course of its training by the lines that it writes to standard error.

    Raises CalledProcessError where it fails, with what it said.
    """
    course, said, start = Course(), [], time.monotonic()
    with subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            said.append(line)
            if not course.epochs and _BEGINS.match(line):
                course.began = Cost(time.monotonic() - start, cpu_seconds(process.pid))
            elif _EPOCH.match(line.strip()):
                course.epochs.append(Cost(time.monotonic() - start, cpu_seconds(process.pid)))
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        course.over = Cost(time.monotonic() - start, used.ru_utime + used.ru_stime)
    if process.returncode or not course.epochs:
        raise subprocess.CalledProcessError(process.returncode, words, stderr="".join(said))
    course.memory_mb = used.ru_maxrss / 1024
    return course


def build(name: str, epochs: int | None, images: int | None, data_dir: Path | None) -> int:
    """`convserve-export build NAME` into a folder that goes away, its recipe and data set made smaller."""
    from export.cli.main import main as export
    from export.data.datasets import DATASETS, DataSet
    from export.data.samples import ArraySamples

    recipe = read_recorded(name).recipe
    load = DATASETS[recipe.dataset]

    def shorten(data_dir: Path | None) -> DataSet:
        whole = load(data_dir)
        train, test = whole.train, whole.test
        assert images is not None
        assert isinstance(train, ArraySamples)
        assert isinstance(test, ArraySamples)
        fewer = images // 6
        return replace(
            whole,
            train=ArraySamples(train.images[:images], train.labels[:images]),
            test=ArraySamples(test.images[:fewer], test.labels[:fewer]),
        )

    if images is not None:
        DATASETS[recipe.dataset] = shorten
    with tempfile.TemporaryDirectory() as folder:
        shorter = Path(folder, f"{name}.toml")
        text = SHIPPED[name].read_text("utf-8")
        shorter.write_text(re.sub(r"(?m)^epochs = .*$", f"epochs = {epochs or recipe.epochs}", text), "utf-8")
        words = ["build", str(shorter), "--runs", f"{folder}/runs", "--repository", f"{folder}/repository"]
        return export([*words, *(["--data-dir", str(data_dir)] if data_dir is not None else [])])


def measure(name: str, given: argparse.Namespace) -> dict[str, list[Course]]:
    """Every way of one recipe, by turns, as often as asked for."""
    words = [name, *_flag("--epochs", given.epochs), *_flag("--images", given.images)]
    words += _flag("--data-dir", given.data_dir)
    ways = {
        OURS: ["bench.training", "--build", *words],
        PLAIN: ["bench.plain_training", *words],
        FLOOR: ["bench.plain_training", "--no-augmentation", *words],
    }
    courses: dict[str, list[Course]] = {way: [] for way in ways}
    for turn in range(given.rounds):
        for way in reversed(ways) if turn % 2 else ways:
            courses[way].append(follow([sys.executable, "-m", *ways[way]]))
    return courses


def _flag(name: str, value: object) -> list[str]:
    return [] if value is None else [name, str(value)]


def median(costs: Iterable[Cost]) -> Cost:
    wall, cpu = zip(*((cost.wall, cost.cpu) for cost in costs), strict=True)
    return Cost(statistics.median(wall), statistics.median(cpu))


def report(name: str, courses: dict[str, list[Course]]) -> int:
    """Print what was seen, medians of all rounds; 0 where every bound was kept."""
    epochs, trained = read_recorded(name).recipe.epochs, len(courses[OURS][0].epochs)
    print(f"{name}, {trained} epochs: seconds (of CPU), medians of {len(courses[OURS])}")
    columns = ("before", "an epoch", "after", "whole", f"of {epochs} epochs", "peak MB")
    print(f"{'':>20} " + " ".join(f"{column:>16}" for column in columns))
    found = {}
    for way, each in courses.items():
        epoch, whole = median(course.epoch for course in each), median(course.whole(epochs) for course in each)
        memory = max(course.memory_mb for course in each)
        found[way] = epoch, whole, memory
        cells = [
            median(course.began for course in each),
            epoch,
            median(course.over - course.epochs[-1] for course in each),
            median(course.over for course in each),
            whole,
            f"{memory:,.0f}",
        ]
        print(f"{way:>20} " + " ".join(f"{cell!s:>16}" for cell in cells))
    (epoch, whole, memory), (plain_epoch, plain_whole, plain_memory) = found[OURS], found[PLAIN]
    kept = {}
    for what, ours, plain, most in (
        ("an epoch", epoch, plain_epoch, MOST_EPOCH),
        (f"the whole of {epochs} epochs", whole, plain_whole, MOST_WHOLE),
    ):
        ratio, busy = ours.wall / plain.wall, ours.cpu / plain.cpu
        kept[f"{what}: {ratio:.2f} times {PLAIN} ({busy:.2f} of CPU; goal: at most {most:g})"] = ratio <= most
    ratio = memory / plain_memory
    kept[f"memory: {ratio:.2f} times {PLAIN} (goal: at most {MOST_MEMORY:g})"] = ratio <= MOST_MEMORY
    return print_bounds(kept)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="*", default=["lenet5-mnist", "resnet18-fashion-mnist"], metavar="RECIPE")
    add_arguments(parser)
    parser.add_argument("--rounds", type=int, default=1, help="turns of each (default: %(default)s)")
    parser.add_argument("--build", action="store_true", help="only build the one recipe, and measure nothing")
    given = parser.parse_args()
    for name in given.recipes:
        if name not in SHIPPED:
            parser.error(f"unknown recipe {name!r}: there are {', '.join(SHIPPED)}")
    if given.build:
        (name,) = given.recipes
        return build(name, given.epochs, given.images, given.data_dir)
    missed = 0
    for name in given.recipes:
        missed += report(name, measure(name, given))
        print(flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
