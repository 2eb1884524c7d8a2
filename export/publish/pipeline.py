"""Source -> graph -> proof -> measured -> published: the one road to an artifact."""

from __future__ import annotations

import contextlib
import importlib.metadata
import platform
import shutil
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime

from artifact.card import Head, ImagePolicy, ModelCard, Precision, Proof
from artifact.golden import Golden
from export.data.samples import decode_samples
from export.errors import ConversionError, UsageError
from export.graph.batch_dimension import fixed_batch, free_batch
from export.graph.finish import FinishedGraph, Layout, finish_graph
from export.graph.head import output_width, read_head
from export.progress import Progress, say
from export.proof import compare, runtime
from export.proof.precision import Made, lower_precision
from export.publish.write import Contents, publish
from export.report.evaluation import evaluate, write_report
from export.sources.source import Source

GOLDEN_IMAGES = 8
CHUNK = 64
MAX_BATCH = 32
TOOLS = ("convserve", "keras", "tensorflow", "tensorflow-cpu", "tf2onnx", "onnx", "onnxruntime", "numpy", "pillow")


def convert(source: Source, repository: Path, precision: Precision = "fp32") -> Path:
    """Convert, prove on every proof image, measure, and publish. Returns the version's folder.

    Raises ConversionError, ProofError or PublishError; then nothing has been published. `fp16` and `int8` are models of
    their own, `<name>-fp16` and `<name>-int8`, published where they are nearly as accurate.
    """
    if precision == "int8" and source.images.calibration is None:
        raise UsageError("int8 takes the ranges of activations from real images: name some with --dataset or --images")
    from export.graph.from_keras import keras_to_onnx  # here, so that an ONNX file is published without TensorFlow

    say(f"converting {source.name} ({source.network.parameters:,} parameters) to ONNX")
    network = keras_to_onnx(source.model, source.image.shape, source.max_batch)
    return publish_network(source, network, repository, precision=precision)


def publish_network(
    source: Source,
    network: onnx.ModelProto,
    repository: Path,
    *,
    layout: Layout = "nhwc",
    precision: Precision = "fp32",
) -> Path:
    """Finish the graph of a bare network in ONNX, prove it against `source.model`, measure and publish it."""
    head = _choose_head(source, network)
    _check_labels(source, output_width(network))
    graph, batch = _finish(source, network, head, layout)
    session = runtime.open_session(graph.model.SerializeToString())
    expected, outputs = _run_both(source, head, session, batch)
    proof = compare.compare(
        expected,
        outputs.probabilities,
        source=source.images.source,
        batch_sizes=runtime.batch_sizes(batch),
        fitted_random_weights=source.fitted_random_weights,
    )
    say(
        f"proved on {proof.images:,} images ({proof.source}): max |p - p'| {proof.max_abs_difference:.1e}, "
        f"relative log difference {proof.max_log_difference:.1e}, equal top-1 {proof.top1_agreement:.2%}"
    )
    card = _write_card(source, head, graph, proof, batch)
    made = Made(card, graph, expected, outputs.probabilities)
    if precision != "fp32":
        made = lower_precision(source, made, precision)
    return _publish(source, made, repository)


def _publish(source: Source, made: Made, repository: Path) -> Path:
    """Measure accuracy where classes are known, write the report, and move everything into the repository."""
    labels = source.images.samples.labels
    with tempfile.TemporaryDirectory() as temporary:
        report = Path(temporary) / "report"
        card = made.card
        if source.images.dataset is not None:
            evaluation = evaluate(made.probabilities, labels, source.images.dataset)
            write_report(report, made.probabilities, labels, source.labels, evaluation)
            say(f"{evaluation.top1:.2%} of {evaluation.images:,} {evaluation.dataset} test images right")
            card = card.model_copy(update={"evaluation": evaluation})
        else:
            say("accuracy unproven: no labeled images were given (--dataset)")
        if source.report is not None and (curves := source.report / "curves.png").exists():
            report.mkdir(exist_ok=True)
            shutil.copy(curves, report)
        chosen = choose_golden(labels, made.probabilities)
        contents = Contents(
            card=card,
            model=made.graph.model,
            golden=Golden(
                name_images([source.images.samples.encoded(index) for index in chosen]),
                made.expected[chosen].astype(np.float32),
                made.probabilities[chosen],
            ),
            classifier=made.graph.classifier,
            report=report if report.exists() else None,
        )
        folder = publish(contents, repository)
    say(f"published {folder}")
    return folder


def _finish(source: Source, network: onnx.ModelProto, head: Head, layout: Layout) -> tuple[FinishedGraph, int | None]:
    """The finished graph, and its batch size where that can't be freed."""

    def finish(bare: onnx.ModelProto, rows: int | None) -> FinishedGraph:
        return finish_graph(
            bare,
            policy=source.image,
            preprocessing=source.preprocessing,
            head=head,
            temperature=source.temperature,
            layout=layout,
            batch=rows,
        )

    batch = fixed_batch(network)
    if batch is None:
        return finish(network, None), None
    kept = finish(network, batch)
    with contextlib.suppress(ConversionError):
        freed = finish(free_batch(network), None)
        if _agree(source, kept, freed):
            say(f"the network was made for batches of {batch}: freed, 1 and 7 rows give the same answers")
            return freed, None
    say(f"the network is bound to batches of {batch}: the card's max_batch keeps it")
    return kept, batch


def _agree(source: Source, kept: FinishedGraph, freed: FinishedGraph) -> bool:
    """Whether a graph with any batch gives 1 and 7 rows what the fixed one gives them."""
    rows = np.arange(7) % len(source.images.samples)
    pixels = decode_samples(source.images.samples, rows, source.image)
    before = runtime.run_graph(runtime.open_session(kept.model.SerializeToString()), pixels, 1).probabilities
    try:
        session = runtime.open_session(freed.model.SerializeToString())
        after = [runtime.run_graph(session, pixels, size).probabilities for size in runtime.BATCH_SIZES]
    except Exception:  # ONNX Runtime raises errors of many kinds for shapes that don't fit
        return False
    return all(part.shape == before.shape and np.abs(part - before).max() <= 1e-5 for part in after)


def _choose_head(source: Source, network: onnx.ModelProto) -> Head:
    """What the user or the run says, else the last activation, else what outputs on the proof images look like."""
    if source.head is not None:
        return source.head
    read = read_head(network)
    if read is not None:
        return read
    some = decode_samples(source.images.samples, range(min(4, len(source.images.samples))), source.image)
    outputs = compare.network_outputs(source.model, some, source.preprocessing, source.max_batch or 4, source.prepare)
    return "softmax" if compare.looks_like_probabilities(outputs) else "logits"


def _check_labels(source: Source, width: int) -> None:
    classes = 2 if width == 1 else width
    if len(source.labels) != classes:
        raise UsageError(
            f"{len(source.labels):,} labels for {classes:,} classes: --labels must name each class of "
            f"{source.model.name} once, in the order of its outputs"
        )


def _run_both(
    source: Source, head: Head, session: onnxruntime.InferenceSession, batch: int | None
) -> tuple[npt.NDArray[np.float64], runtime.GraphOutputs]:
    """The untouched network's probabilities and the graph's outputs for every proof image, by the serving decoder."""
    samples = source.images.samples
    expected, probabilities, energies = [], [], []
    rows = rows_at_once(source.image)
    with Progress("proof", len(samples)) as progress:
        for start in range(0, len(samples), CHUNK):
            pixels = decode_samples(samples, range(start, min(start + CHUNK, len(samples))), source.image)
            raw = compare.network_outputs(
                source.model, pixels, source.preprocessing, source.max_batch or rows, source.prepare
            )
            expected.append(compare.probabilities_from(raw, head, source.temperature))
            if start == 0:
                runtime.check_batches(session, pixels, runtime.batch_sizes(batch))
            part = runtime.run_graph(session, pixels, batch or rows)
            probabilities.append(part.probabilities)
            energies.append(part.energy)
            progress.advance(len(pixels))
    energy = None if energies[0] is None else np.concatenate(energies)
    return np.concatenate(expected), runtime.GraphOutputs(np.concatenate(probabilities), energy)


def rows_at_once(policy: ImagePolicy) -> int:
    """Images a run of both networks: 64 of up to 75x75 pixels, 7 of 224x224; the activations fill memory in between."""
    return max(1, min(CHUNK, CHUNK * 75 * 75 // (policy.height * policy.width)))


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


def _write_card(source: Source, head: Head, graph: FinishedGraph, proof: Proof, batch: int | None) -> ModelCard:
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
        max_batch=batch or MAX_BATCH,
        training=source.training,
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
