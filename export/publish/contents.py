"""Writes the other files of an artifact: golden images, report, and the card that lists them all."""

from __future__ import annotations

import importlib.metadata
import platform
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

from artifact.card import ModelCard
from artifact.classifier import Classifier, write_classifier
from artifact.figures.evaluation import Evaluation
from artifact.figures.robustness import Robustness
from artifact.files import list_files
from artifact.golden import Golden, write_golden
from artifact.layout import MODEL_FILE, REPORT_FOLDER
from export.progress import say
from export.proof.assumptions import judge_assumptions
from export.proof.head import Reading
from export.proof.prove import ProvedGraph
from export.proof.side_by_side import SideBySide, compare_images, write_examples
from export.publish.robustness import judge_robustness
from export.publish.write import Draft, disk_refusals
from export.report.calibration import Floats
from export.report.evaluation import evaluate, write_report
from export.report.robustness import PICTURE_FILE, draw_robustness
from export.sources.source import Source

GOLDEN_IMAGES = 8
SHOWN_IMAGES = 3
TOOLS = ("convserve", "keras", "tensorflow", "tensorflow-cpu", "tf2onnx", "onnx", "onnxruntime", "numpy", "pillow")


@dataclass(frozen=True)
class GraphParts:
    """What the finished graph gives beside probabilities."""

    energy: bool
    classifier: Classifier | None


def fill_draft(
    draft: Draft,
    source: Source,
    own: Floats,
    proved: ProvedGraph,
    reading: Reading,
    graph: GraphParts,
    *,
    robustness: bool,
) -> ModelCard:
    """Write everything but the card beside the draft's model.onnx; the card that lists it, as version 1.

    `own` is what the untouched network gave for the proof images [n, outputs]. Accuracy is measured where classes are
    known, with `robustness` on damaged images too, and the assumptions are held against others. Raises PublishError
    where the disk refuses, UsageError where an assumption is contradicted.
    """
    evaluation = _measure(source, proved)
    judgment = judge_assumptions(source, proved, reading, evaluation)
    damaged = judge_robustness(source, proved) if robustness else None
    chosen = choose_golden(source.images.samples.labels, proved.probabilities)
    golden = Golden(
        name_images([source.images.samples.encoded(index) for index in chosen]),
        proved.expected[chosen].astype(np.float32),
        proved.probabilities[chosen],
    )
    with disk_refusals(draft.repository):
        write_golden(draft.folder, golden)
        if graph.classifier is not None:
            write_classifier(draft.folder, graph.classifier)
        _write_report(draft.folder / REPORT_FOLDER, source, proved, evaluation, damaged)
        _show_examples(draft.folder / REPORT_FOLDER, source, own, proved, reading, chosen[:SHOWN_IMAGES])
        files = list_files(draft.folder)
    return ModelCard(
        **source.provenance.shared(),
        name=draft.name,
        version=1,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        head=reading.head,
        reading=reading.words,
        assumptions=judgment.assumptions,
        warnings=judgment.warnings,
        precision=proved.precision,
        precision_report=proved.report,
        energy=graph.energy,
        features=graph.classifier is not None,
        max_batch=proved.max_batch,
        evaluation=evaluation,
        robustness=damaged,
        proof=proved.proof,
        replay=proved.replay,
        sha256=files[MODEL_FILE].sha256,
        tools={"python": platform.python_version(), **_versions()},
        files=files,
    )


def _measure(source: Source, proved: ProvedGraph) -> Evaluation | None:
    """The accuracy where classes are known; otherwise it is said why not."""
    if source.images.dataset is None:
        say(f"accuracy unproven: {source.images.unproven}")
        return None
    evaluation = evaluate(proved.probabilities, source.images.samples.labels, source.images.dataset)
    say(f"{evaluation.top1:.2%} of {evaluation.images:,} {evaluation.dataset} test images right")
    return evaluation


def _write_report(
    folder: Path, source: Source, proved: ProvedGraph, evaluation: Evaluation | None, robustness: Robustness | None
) -> None:
    if evaluation is not None:
        write_report(folder, proved.probabilities, source.images.samples.labels, source.provenance.labels, evaluation)
    if robustness is not None:
        draw_robustness(robustness, folder / PICTURE_FILE)
    if source.report is not None and (curves := source.report / "curves.png").exists():
        folder.mkdir(exist_ok=True)
        shutil.copy(curves, folder)


def _show_examples(
    folder: Path, source: Source, own: Floats, proved: ProvedGraph, reading: Reading, chosen: Sequence[int]
) -> None:
    names = [source.images.samples.name(index) for index in chosen]
    examples = compare_images(names, own[chosen], proved.probabilities[chosen], source.provenance.labels)
    say(f"what your network gives, read as {reading.words}, beside what is served:")
    for example in examples:
        say(f"  {example}")
    write_examples(folder, SideBySide(reading.head, reading.words, examples))


def choose_golden(labels: npt.NDArray[np.int64], probabilities: npt.NDArray[np.float32]) -> list[int]:
    """Indices of the first image of each class, up to GOLDEN_IMAGES, by `labels` [n]; where one isn't known (-1), of
    each class that `probabilities` [n, classes] predict. Others follow where the classes are fewer.
    """
    known = labels if (labels >= 0).all() else probabilities.argmax(axis=1)
    _, firsts = np.unique(known, return_index=True)
    chosen = sorted(firsts.tolist())[:GOLDEN_IMAGES]
    others = [index for index in range(len(known)) if index not in set(chosen)]
    return chosen + others[: max(0, min(GOLDEN_IMAGES, len(known)) - len(chosen))]


def name_images(files: Sequence[tuple[bytes, str]]) -> dict[str, bytes]:
    """Encoded images with their suffixes by file name: 00.png, 01.jpg, ..."""
    return {f"{index:02}{suffix}": image for index, (image, suffix) in enumerate(files)}


def _versions() -> dict[str, str]:
    found = {}
    for name in TOOLS:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # tensorflow goes by one of two names
    return found
