"""What stands beside a proved graph: golden images, report, and the card that lists them all."""

from __future__ import annotations

import importlib.metadata
import platform
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

from artifact.card import Evaluation, Head, ModelCard
from artifact.classifier import Classifier, write_classifier
from artifact.files import list_files
from artifact.golden import Golden, write_golden
from artifact.layout import MODEL_FILE, REPORT_FOLDER
from export.progress import say
from export.proof.prove import Made
from export.publish.write import Draft, disk_refusals
from export.report.evaluation import evaluate, write_report
from export.sources.source import Source

GOLDEN_IMAGES = 8
TOOLS = ("convserve", "keras", "tensorflow", "tensorflow-cpu", "tf2onnx", "onnx", "onnxruntime", "numpy", "pillow")


def fill_draft(
    draft: Draft, source: Source, made: Made, head: Head, *, energy: bool, classifier: Classifier | None
) -> ModelCard:
    """Write everything but the card beside the draft's model.onnx; the card that lists it, as version 1.

    Accuracy is measured where classes are known. Raises PublishError where the disk refuses.
    """
    chosen = choose_golden(source.images.samples.labels, made.probabilities)
    golden = Golden(
        name_images([source.images.samples.encoded(index) for index in chosen]),
        made.expected[chosen].astype(np.float32),
        made.probabilities[chosen],
    )
    with disk_refusals(draft.repository):
        write_golden(draft.folder, golden)
        if classifier is not None:
            write_classifier(draft.folder, classifier)
        evaluation = _report(draft.folder / REPORT_FOLDER, source, made)
        files = list_files(draft.folder)
    return ModelCard(
        **source.provenance.shared(),
        name=draft.name,
        version=1,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        head=head,
        precision=made.precision,
        precision_report=made.report,
        energy=energy,
        features=classifier is not None,
        max_batch=made.max_batch,
        evaluation=evaluation,
        proof=made.proof,
        replay=made.replay,
        sha256=files[MODEL_FILE].sha256,
        tools={"python": platform.python_version(), **_versions()},
        files=files,
    )


def _report(folder: Path, source: Source, made: Made) -> Evaluation | None:
    """Write the report as far as there is one; the accuracy where classes are known."""
    evaluation, labels = None, source.images.samples.labels
    if source.images.dataset is not None:
        evaluation = evaluate(made.probabilities, labels, source.images.dataset)
        write_report(folder, made.probabilities, labels, source.provenance.labels, evaluation)
        say(f"{evaluation.top1:.2%} of {evaluation.images:,} {evaluation.dataset} test images right")
    else:
        say("accuracy unproven: no labeled images were given (--dataset)")
    if source.report is not None and (curves := source.report / "curves.png").exists():
        folder.mkdir(exist_ok=True)
        shutil.copy(curves, folder)
    return evaluation


def choose_golden(labels: npt.NDArray[np.int64], probabilities: npt.NDArray[np.float32]) -> list[int]:
    """The first image of each class, up to GOLDEN_IMAGES; of each predicted class where the true ones aren't known."""
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
