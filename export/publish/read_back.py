"""Reading a published artifact back: its accuracy through the serving decoder, and its proof on this machine."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from artifact.card import ModelCard, Proof, read_card
from artifact.errors import ArtifactError
from artifact.figures.evaluation import Evaluation
from artifact.golden import read_golden
from artifact.images.decode import decode_image
from artifact.images.frame import Pixels
from artifact.layout import MODEL_FILE, REPORT_FOLDER
from artifact.whole import check_files
from export.data.datasets import DataSet
from export.data.labels import describe_difference, match_labels
from export.data.samples import Samples, run_samples
from export.errors import DataError, ProofError, UsageError
from export.proof import compare, runtime
from export.proof.side_by_side import EXAMPLES_FILE
from export.publish.published import Published
from export.report.evaluation import evaluate


def describe_published(folder: Path) -> dict[str, Any]:
    """For programs: what was published, in which words the outputs were read, and a few images side by side."""
    card = read_card(folder)
    shown = json.loads((folder / REPORT_FOLDER / EXAMPLES_FILE).read_text(encoding="utf-8"))
    told = {"name", "version", "head", "reading", "precision", "proof", "evaluation", "assumptions", "warnings"}
    return {"folder": str(folder), **card.model_dump(mode="json", include=told), "examples": shown["examples"]}


def evaluate_published(published: Published, dataset: DataSet) -> Evaluation:
    """Accuracy of the graph in ONNX Runtime on a data set's test images, as the service would decode them."""
    places = match_classes(published.card, dataset)
    probabilities = run_published(published, dataset.test, title="evaluating")
    return evaluate(probabilities, places[dataset.test.labels], dataset.title)


def match_classes(card: ModelCard, dataset: DataSet) -> npt.NDArray[np.int64]:
    """For each class of a data set its place among a model's labels, [classes]. Raises UsageError where they aren't the
    same.
    """
    places = match_labels(dataset.labels, card.labels)
    if places is None:
        raise UsageError(
            f"{dataset.name}'s classes aren't those of {card.name}, they can't be compared: "
            f"{describe_difference(dataset.labels, card.labels)}"
        )
    return places


def run_published(
    published: Published, samples: Samples, *, title: str, indices: Sequence[int] | None = None
) -> npt.NDArray[np.float32]:
    """The probabilities [n, classes] of the graph in ONNX Runtime for some images, or all, as the service would decode
    them.
    """
    card = published.card
    session = runtime.open_session(str(published.folder / MODEL_FILE))

    def run(pixels: Pixels) -> npt.NDArray[np.float32]:
        return runtime.run_graph(session, pixels, card.max_batch).probabilities

    return np.concatenate(run_samples(samples, card.image, run, title=title, indices=indices))


def verify_published(published: Published) -> Proof:
    """The proof again: the files' hashes, a valid graph, and Keras' probabilities of the golden images."""
    folder, card = published.folder, published.card
    try:
        check_files(folder, card)
    except ArtifactError as error:
        raise ProofError(f"{folder}: {error}") from error
    try:
        golden = read_golden(folder, card)
    except ArtifactError as error:
        raise DataError(f"{folder}: {error}") from error
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
