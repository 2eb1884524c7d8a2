"""Source -> graph -> proof -> measured -> published: the one road to an artifact."""

from __future__ import annotations

import importlib.metadata
import platform
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime

from app.card import Evaluation, ModelCard, Proof
from export import verify
from export.artifact import Contents, Golden, publish
from export.convert import keras_to_onnx
from export.errors import UsageError
from export.evaluation import evaluate, write_report
from export.graph import FinishedGraph, Head, finish_graph, output_width, read_head
from export.progress import Progress, say
from export.samples import decode_samples
from export.source import Source

GOLDEN_IMAGES = 8
CHUNK = 64
TOOLS = ("convserve", "keras", "tensorflow", "tensorflow-cpu", "tf2onnx", "onnx", "onnxruntime", "numpy", "pillow")


def convert(source: Source, repository: Path) -> Path:
    """Convert, prove on every proof image, measure, and publish. Returns the version's folder.

    Raises ConversionError, ProofError or PublishError; then nothing has been published.
    """
    say(f"converting {source.name} ({source.network.parameters:,} parameters) to ONNX")
    network = keras_to_onnx(source.model, source.image.shape)
    head = _choose_head(source, network)
    _check_labels(source, output_width(network))
    graph = finish_graph(
        network,
        policy=source.image,
        preprocessing=source.preprocessing,
        head=head,
        temperature=source.temperature,
    )
    session = verify.open_session(graph.model.SerializeToString())
    expected, outputs = _run_both(source, head, session)
    proof = verify.compare(expected, outputs.probabilities, source=source.images.source)
    say(
        f"proved on {proof.images:,} images ({proof.source}): max |p - p'| {proof.max_abs_difference:.1e}, "
        f"relative log difference {proof.max_log_difference:.1e}, equal top-1 {proof.top1_agreement:.2%}"
    )
    labels = source.images.samples.labels
    with tempfile.TemporaryDirectory() as temporary:
        report = Path(temporary) / "report"
        evaluation = None
        if source.images.dataset is not None:
            evaluation = evaluate(outputs.probabilities, labels, source.images.dataset)
            write_report(report, outputs.probabilities, labels, source.labels, evaluation)
            say(f"{evaluation.top1:.2%} of {evaluation.images:,} {evaluation.dataset} test images right")
        else:
            say("accuracy unproven: no labeled images were given (--dataset)")
        if source.report is not None and (curves := source.report / "curves.png").exists():
            report.mkdir(exist_ok=True)
            shutil.copy(curves, report)
        chosen = choose_golden(labels, outputs.probabilities)
        contents = Contents(
            card=_write_card(source, head, graph, proof, evaluation),
            model=graph.model,
            golden=Golden(
                [source.images.samples.encoded(index) for index in chosen],
                expected[chosen].astype(np.float32),
                outputs.probabilities[chosen],
            ),
            classifier=graph.classifier,
            report=report if report.exists() else None,
        )
        folder = publish(contents, repository)
    say(f"published {folder}")
    return folder


def _choose_head(source: Source, network: onnx.ModelProto) -> Head:
    """What the user or the run says, else the last activation, else what outputs on the proof images look like."""
    if source.head is not None:
        return source.head
    read = read_head(network)
    if read is not None:
        return read
    some = source.images.samples.pixels(np.arange(min(4, len(source.images.samples))), source.image)
    outputs = verify.keras_outputs(source.model, some, source.preprocessing)
    return "softmax" if verify.looks_like_probabilities(outputs) else "logits"


def _check_labels(source: Source, width: int) -> None:
    classes = 2 if width == 1 else width
    if len(source.labels) != classes:
        raise UsageError(
            f"{len(source.labels):,} labels for {classes:,} classes: --labels must name each class of "
            f"{source.model.name} once, in the order of its outputs"
        )


def _run_both(
    source: Source, head: Head, session: onnxruntime.InferenceSession
) -> tuple[npt.NDArray[np.float64], verify.GraphOutputs]:
    """Keras' probabilities and the graph's outputs for every proof image, through the serving decoder."""
    samples = source.images.samples
    expected, probabilities, energies = [], [], []
    with Progress("proof", len(samples)) as progress:
        for start in range(0, len(samples), CHUNK):
            pixels = decode_samples(samples, range(start, min(start + CHUNK, len(samples))), source.image)
            if start == 0:
                verify.check_batches(session, pixels)
            raw = verify.keras_outputs(source.model, pixels, source.preprocessing, CHUNK)
            expected.append(verify.probabilities_from(raw, head, source.temperature))
            part = verify.run_graph(session, pixels, CHUNK)
            probabilities.append(part.probabilities)
            energies.append(part.energy)
            progress.advance(len(pixels))
    energy = None if energies[0] is None else np.concatenate(energies)
    return np.concatenate(expected), verify.GraphOutputs(np.concatenate(probabilities), energy)


def choose_golden(labels: npt.NDArray[np.int64], probabilities: npt.NDArray[np.float32]) -> list[int]:
    """The first image of each class, up to GOLDEN_IMAGES; of each predicted class where the true ones aren't known."""
    known = labels if (labels >= 0).all() else probabilities.argmax(axis=1)
    _, firsts = np.unique(known, return_index=True)
    chosen = sorted(firsts.tolist())[:GOLDEN_IMAGES]
    others = [index for index in range(len(known)) if index not in set(chosen)]
    return chosen + others[: max(0, min(GOLDEN_IMAGES, len(known)) - len(chosen))]


def _write_card(
    source: Source, head: Head, graph: FinishedGraph, proof: Proof, evaluation: Evaluation | None
) -> ModelCard:
    return ModelCard(
        name=source.name,
        version=1,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        license=source.license,
        network=source.network,
        labels=source.labels,
        image=source.image,
        preprocessing=source.preprocessing,
        head=head,
        energy=graph.energy,
        features=graph.classifier is not None,
        training=source.training,
        evaluation=evaluation,
        calibration=source.calibration,
        score_quantiles=source.score_quantiles,
        distribution=source.distribution,
        proof=proof,
        sha256="0" * 64,
        tools={"python": platform.python_version(), **_versions()},
    )


def _versions() -> dict[str, str]:
    found = {}
    for name in TOOLS:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # tensorflow goes by one of two names
    return found
