"""The steps from a source to an artifact: convert, write the graph, prove it, measure it, publish it."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import onnx

from artifact.card import Head
from artifact.figures.precision import Precision
from artifact.layout import MODEL_FILE
from export.data.labels import check_count
from export.data.samples import decode_samples
from export.errors import ConversionError, UsageError
from export.graph.batch_dimension import fixed_batch, free_batch
from export.graph.boundary import settle_boundary
from export.graph.finish import FinishedGraph, Layout, finish_graph
from export.graph.head import output_width
from export.graph.network import known_width, try_shape
from export.progress import say
from export.proof import runtime
from export.proof.assumptions import refuse_doubled_scaling
from export.proof.head import judge_head, measure
from export.proof.operations import read_operations
from export.proof.own_outputs import run_network
from export.proof.precision.lowering import USUAL, Lowering, lower_precision
from export.proof.prove import prove
from export.publish.contents import GraphParts, fill_draft
from export.publish.write import check_place, disk_refusals, open_draft, publish, write_graph
from export.sources.source import Source


def convert(
    source: Source,
    repository: Path,
    precision: Precision = "fp32",
    *,
    lowering: Lowering = USUAL,
    replace_config: bool = False,
    robustness: bool = True,
) -> Path:
    """Convert, prove on every proof image, measure, and publish. Returns the version's folder.

    Raises ConversionError, ProofError or PublishError; then nothing has been published. `fp16` and `int8` are models of
    their own, `<name>-fp16` and `<name>-int8`, published where they are nearly as accurate. `replace_config`: a
    config.pbtxt that we didn't write may be replaced. `robustness`: accuracy is measured on damaged images, too.
    """
    if precision == "int8" and source.images.calibration is None:
        raise UsageError("int8 takes the ranges of activations from real images: name some with --dataset or --images")
    from export.graph.from_keras import keras_to_onnx  # here, so that an ONNX file is published without TensorFlow

    check_place(repository, name_published(source, precision), source.provenance, replace_config=replace_config)
    if (width := known_width(source.model)) is not None:
        check_count(source.provenance.labels, width, source.model.name)  # now rather than after the conversion
    say(f"converting {source.name} ({source.provenance.network.parameters:,} parameters) to ONNX")
    shape, batch = source.provenance.image.shape, source.max_batch
    network = settle_boundary(keras_to_onnx(source.model, shape, batch), try_shape(source.model, shape, batch or 2))
    return publish_network(
        source,
        network,
        repository,
        precision=precision,
        lowering=lowering,
        replace_config=replace_config,
        robustness=robustness,
    )


def publish_network(
    source: Source,
    network: onnx.ModelProto,
    repository: Path,
    *,
    layout: Layout = "nhwc",
    precision: Precision = "fp32",
    lowering: Lowering = USUAL,
    replace_config: bool = False,
    robustness: bool = True,
) -> Path:
    """Finish the graph of a bare network in ONNX, prove the file against `source.model`, measure and publish it.

    `network` takes float32 pixels and gives float32 [batch, classes]: export/graph/boundary.py brings it to that.
    """
    check_place(repository, name_published(source, precision), source.provenance, replace_config=replace_config)
    check_count(source.provenance.labels, output_width(network), source.model.name)
    refuse_doubled_scaling(network, source.provenance.preprocessing)
    own = run_network(source)
    reading = judge_head(measure(own.all), read_operations(network), source.head, source.provenance.labels)
    head = reading.head
    with open_draft(repository, name_published(source, precision), source.provenance) as draft:
        graph, batch = _finish(source, network, head, layout)
        parts = GraphParts(graph.energy, graph.classifier)
        published = draft.folder / MODEL_FILE
        proved_file = published if precision == "fp32" else draft.scratch / MODEL_FILE
        with disk_refusals(repository):
            write_graph(proved_file, graph.model, source.provenance, head)
        del graph  # the proof opens the file: a large graph isn't held beside it
        proved = prove(source, own.proof, proved_file, head, batch)
        if precision != "fp32":

            def write(lowered: onnx.ModelProto) -> Path:
                with disk_refusals(repository):
                    write_graph(published, lowered, source.provenance, head)
                return published

            proved = lower_precision(source, proved, precision, lowering, write)
        card = fill_draft(draft, source, own.proof, proved, reading, parts, robustness=robustness)
        return publish(draft, card)


def name_published(source: Source, precision: Precision) -> str:
    """The model's name in the repository."""
    return source.name if precision == "fp32" else f"{source.name}-{precision}"


def _finish(source: Source, network: onnx.ModelProto, head: Head, layout: Layout) -> tuple[FinishedGraph, int | None]:
    """The finished graph, and its batch size where that can't be freed."""

    def finish(bare: onnx.ModelProto, rows: int | None) -> FinishedGraph:
        return finish_graph(
            bare,
            policy=source.provenance.image,
            preprocessing=source.provenance.preprocessing,
            head=head,
            temperature=source.provenance.temperature,
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
            say(
                f"the network was made for batches of {batch}: other sizes are allowed, since 1 and 7 "
                "rows give the same answers"
            )
            return freed, None
    say(f"the network takes batches of {batch} only: max_batch in its card says so")
    return kept, batch


def _agree(source: Source, kept: FinishedGraph, freed: FinishedGraph) -> bool:
    """Whether a graph with any batch gives 1 and 7 rows what the fixed one gives them."""
    rows = np.arange(7) % len(source.images.samples)
    pixels = decode_samples(source.images.samples, rows, source.provenance.image)
    before = runtime.run_graph(runtime.open_session(kept.model.SerializeToString()), pixels, 1).probabilities
    try:
        session = runtime.open_session(freed.model.SerializeToString())
        after = [runtime.run_graph(session, pixels, size).probabilities for size in runtime.BATCH_SIZES]
    except Exception:  # ONNX Runtime raises errors of many kinds for shapes that don't fit
        return False
    return all(part.shape == before.shape and np.abs(part - before).max() <= 1e-5 for part in after)
