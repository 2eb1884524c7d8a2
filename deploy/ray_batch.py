"""Many images at rest, on as many machines as Ray has: a folder, a bucket, a CSV manifest or Parquet in, Parquet out.

    python -m deploy.ray_batch resnet18 s3://photos/2026 --repository s3://models --out answers

The input is divided into blocks. The answers of each block are one Parquet file in the folder --out: path, labels and
probabilities of the best classes, error. A run that was interrupted continues with the blocks that are missing. Ray
Data spreads the blocks and replaces workers that die; only this process writes. docs/cluster.md says when to use it.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from app.cli.usage import repository
from app.client.local_version import find_version
from app.client.progress import Progress
from app.settings_sources import load_settings
from artifact.card import read_card
from artifact.errors import ArtifactError, InputError
from artifact.lists.manifest import is_address
from artifact.stores.address import read_repository
from deploy.batch.blocks import Block, digest, find_blocks
from deploy.batch.output import Output, OutputError
from deploy.batch.worker import Answers, Job, Worker

_ELSEWHERE_S = 10.0  # between lines about the progress where there is no terminal


class BatchError(Exception):
    """A run that can't start or continue; the text says why."""


def main(argv: Sequence[str] | None = None) -> int:
    """0 where every image was classified, 1 where some or all failed, 2 for what can't be meant so."""
    given = _read_arguments(argv)
    try:
        return _classify(given)
    except (InputError, OutputError, BatchError) as error:
        print(f"ray_batch: {error}", file=sys.stderr)
        return 2
    except ArtifactError as error:
        print(f"ray_batch: {error.detail}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("ray_batch: stopped; the same command continues", file=sys.stderr)
        return 130


def _read_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m deploy.ray_batch",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", metavar="MODEL")
    parser.add_argument(
        "input",
        metavar="INPUT",
        nargs="+",
        help="a folder, s3:// gs:// az://BUCKET/PATH, a CSV file with the column path, a Parquet file with the column "
        "image (bytes) or path, an image; every machine must see it under this name",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="on this machine; one file per block")
    parser.add_argument(
        "--repository",
        type=repository,
        default="repository",
        metavar="DIR",
        help="a folder that every machine sees, or a store",
    )
    parser.add_argument("--version", type=int, metavar="N", help="default: the newest when the run is begun")
    parser.add_argument("--top-k", type=int, metavar="K", help="classes an image (default: 5)")
    parser.add_argument(
        "--block-images",
        type=_positive,
        default=500,
        metavar="N",
        help="images per block; a row group is one (default: 500)",
    )
    parser.add_argument("--workers", type=_positive, metavar="N", help="default: as many as fit into the cluster")
    parser.add_argument("--cpus", type=_positive, default=1, metavar="N", help="cores a worker (default: 1)")
    parser.add_argument("--gpus", type=float, default=0.0, metavar="SHARE", help="of a GPU, a worker (default: 0)")
    parser.add_argument(
        "--address",
        metavar="HOST:PORT",
        help="of the cluster, or auto (default: RAY_ADDRESS, or else a Ray of its own on this machine)",
    )
    return parser.parse_args(argv)


def _positive(text: str) -> int:
    if not (text.isdecimal() and int(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 up")
    return int(text)


def _classify(given: argparse.Namespace) -> int:
    # A worker has another working folder.
    words = [word if is_address(word) else os.path.abspath(word) for word in given.input]
    where = given.repository if isinstance(given.repository, str) else os.path.abspath(given.repository)
    blocks = find_blocks(words, given.block_images)
    version, fingerprint = _choose_version(where, given.model, given.version, given.out)
    job = Job(where, given.model, version, given.top_k)
    run = {"model": job.model, "version": version, "sha256": fingerprint, "top_k": job.top_k, "input": digest(blocks)}
    with Output(given.out, run) as output:
        left = [block for block in blocks if not output.has(block.name)]
        total = sum(block.rows for block in blocks)
        if there := total - sum(block.rows for block in left):
            _say(f"{there:,} of {total:,} images are in {given.out} already")
        if not left:
            return 0
        return _fill(output, left, _run_on_ray(job, left, given))


def _choose_version(where: str, model: str, version: int | None, out: Path) -> tuple[int, str]:
    """The version that the run takes, and its graph's sha256. Raises ArtifactError and OutputError."""
    settings = load_settings().model_copy(update={"repository": read_repository(where)})
    folder = find_version(settings, model, version or Output.read_version(out))
    return int(folder.name), read_card(folder).sha256


def _fill(output: Output, left: Sequence[Block], found: Iterable[Answers]) -> int:
    """Write the blocks' answers as they come, show progress and a summary; returns the exit status."""
    progress = Progress(sum(block.rows for block in left), _ELSEWHERE_S)
    done = failed = 0
    failures: list[str] = []
    began, ended = float("inf"), 0.0
    try:
        for answers in found:
            if answers.failure:
                failures.append(f"{answers.block}: {answers.failure}")
                continue
            output.write(answers.block, answers.content)
            done, failed = done + answers.rows, failed + answers.failed
            began, ended = min(began, answers.began), max(ended, answers.ended)
            progress.began = time.monotonic() - (time.time() - began)  # not from when Ray began to start
            progress.show(done, failed)
    finally:
        progress.end()
    seconds = max(ended - began, 0.0) if done else 0.0
    _say(
        f"{done:,} images, {failed:,} failed, {seconds:,.1f} s from the first to the last, "
        f"{done / max(seconds, 1e-9):,.1f} images/s"
    )
    for failure in failures:
        _say(failure)
    if failures:
        _say(f"{len(failures):,} of {len(left):,} blocks failed: the same command tries them again")
    return 1 if failed or failures else 0


def _run_on_ray(job: Job, left: Sequence[Block], given: argparse.Namespace) -> Iterator[Answers]:
    """The answers of the blocks, in the order in which they are done. Raises BatchError."""
    try:
        import ray
        from ray.data import ActorPoolStrategy, DataContext
        from ray.exceptions import RayError
    except ModuleNotFoundError as error:
        raise BatchError(
            f"the package {error.name} is missing: install the extra ray (pip install '.[cpu,ray]')"
        ) from error

    try:
        # Without one Ray would join whichever cluster somebody else has started on this machine.
        address = given.address or os.environ.get("RAY_ADDRESS") or "local"
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (RayError, ConnectionError, RuntimeError) as error:
        raise BatchError(f"Ray can't be started or reached: {str(error).splitlines()[0]}") from error
    try:
        context = DataContext.get_current()
        context.enable_progress_bars = context.print_on_execution_start = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        workers = min(len(left), given.workers or _count_workers(ray.cluster_resources(), given.cpus, given.gpus))
        items = [{"block": block._asdict()} for block in left]
        answers = ray.data.from_items(items, override_num_blocks=len(items)).map_batches(
            RayWorker,
            fn_constructor_args=(job, given.cpus, "cuda" if given.gpus else "cpu"),
            batch_size=1,
            batch_format="pyarrow",
            compute=ActorPoolStrategy(size=workers),
            num_cpus=given.cpus,
            num_gpus=given.gpus,
        )
        for row in answers.iter_rows():
            yield Answers(**row)
    except RayError as error:
        raise BatchError(f"the run ended early: {_find_cause(error)}; the same command continues") from error
    finally:
        ray.shutdown()


def _count_workers(there: dict[str, float], cpus: int, gpus: float) -> int:
    """How many fit. Raises BatchError where none does."""
    fits = int(there.get("CPU", 0) // cpus)
    if gpus:
        fits = min(fits, int(there.get("GPU", 0) / gpus))
    if not fits:
        raise BatchError(
            f"a worker takes {cpus} cores and {gpus:g} GPUs, the cluster has {there.get('CPU', 0):g} and "
            f"{there.get('GPU', 0):g}: lower --cpus or --gpus"
        )
    return fits


def _find_cause(error: BaseException) -> str:
    """The last of what Ray wraps into each other, in one line."""
    while (inner := getattr(error, "cause", None) or error.__cause__) is not None:
        error = inner
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


class RayWorker:
    """One of Ray's processes. Ray makes it anew where it died, and gives it the same block again."""

    def __init__(self, job: Job, cores: int, device: str) -> None:
        self._worker = Worker(job, cores, device)

    def __call__(self, batch: Any) -> Any:
        """A table of blocks to a table of answers."""
        import pyarrow

        blocks = [Block(**row["block"]) for row in batch.to_pylist()]
        return pyarrow.Table.from_pylist([self._worker.classify(block)._asdict() for block in blocks])


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
