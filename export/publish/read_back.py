"""Reading a published artifact back: its accuracy through the serving decoder, and its proof on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from artifact.card import Evaluation, ModelCard, Proof, read_card
from artifact.errors import ArtifactError
from artifact.golden import check_sha256, read_golden
from artifact.images.decode import decode_image
from artifact.layout import MODEL_FILE, list_versions
from export.data.datasets import DataSet
from export.data.samples import decode_samples
from export.errors import DataError, ProofError, UsageError
from export.progress import Progress
from export.proof import compare, runtime
from export.report.evaluation import evaluate

CHUNK = 64


@dataclass(frozen=True)
class Published:
    """A version's folder and its card."""

    folder: Path
    card: ModelCard


def open_published(repository: Path, name: str) -> Published:
    """The newest version of `name`, or `name/version`. Raises UsageError naming what there is, DataError if damaged."""
    model, _, wanted = name.partition("/")
    versions = list_versions(repository / model)
    if not versions:
        there = sorted(entry.name for entry in repository.glob("[!.]*") if list_versions(entry))
        raise UsageError(f"{repository} has no model {model!r}: there are {', '.join(there) or 'none'}")
    version = versions[-1] if not wanted else int(wanted) if wanted.isdigit() else -1
    if version not in versions:
        raise UsageError(f"{model} has no version {wanted!r}: there are {', '.join(map(str, versions))}")
    folder = repository / model / str(version)
    try:
        return Published(folder, read_card(folder))
    except ArtifactError as error:
        raise DataError(str(error)) from error


def evaluate_published(published: Published, dataset: DataSet) -> Evaluation:
    """Accuracy of the graph in ONNX Runtime on a data set's test images, as the service would decode them."""
    card = published.card
    if dataset.labels != card.labels:
        raise UsageError(
            f"{card.name} knows {len(card.labels):,} classes ({card.labels[0]}, ...), {dataset.name} has "
            f"{len(dataset.labels):,} ({dataset.labels[0]}, ...): they can't be compared"
        )
    session = runtime.open_session(str(published.folder / MODEL_FILE))
    samples, parts = dataset.test, []
    with Progress("evaluating", len(samples)) as progress:
        for start in range(0, len(samples), CHUNK):
            indices = range(start, min(start + CHUNK, len(samples)))
            pixels = decode_samples(samples, indices, card.image)
            parts.append(runtime.run_graph(session, pixels, card.max_batch).probabilities)
            progress.advance(len(indices))
    return evaluate(np.concatenate(parts), samples.labels, dataset.name)


def verify_published(published: Published) -> Proof:
    """The proof again: the file's hash, its validity, and Keras' recorded probabilities of the golden images."""
    folder, card = published.folder, published.card
    try:
        golden = read_golden(folder, card)
    except ArtifactError as error:
        raise DataError(f"{folder}: {error}") from error
    try:
        check_sha256(folder, card)
    except ArtifactError as error:
        raise ProofError(f"{folder}: {error}") from error
    data = (folder / MODEL_FILE).read_bytes()
    onnx.checker.check_model(onnx.load_from_string(data), full_check=True)
    pixels = np.stack([decode_image(image, card.image) for image in golden.images.values()])
    session = runtime.open_session(data)
    runtime.check_batches(session, pixels, card.proof.batch_sizes)
    return compare.compare(
        golden.keras,
        runtime.run_graph(session, pixels, card.max_batch).probabilities,
        source="golden images",
        batch_sizes=card.proof.batch_sizes,
        abs_tolerance=card.proof.abs_tolerance,
        log_tolerance=card.proof.log_tolerance,
    )
