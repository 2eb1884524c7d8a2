"""`adopt FILE.onnx`: somebody's ONNX classifier as an artifact. Imports neither TensorFlow nor Keras."""

from __future__ import annotations

from pathlib import Path

from artifact.card import NetworkInfo, Provenance
from export.data.labels import check_count, read_labels
from export.data.preprocessing import normalize
from export.errors import UsageError
from export.graph.batch_dimension import fixed_batch
from export.graph.boundary import settle_boundary
from export.graph.head import output_width
from export.graph.network import try_shape
from export.progress import say
from export.publish.pipeline import publish_network
from export.publish.write import check_place
from export.sources.image_options import ImageOptions
from export.sources.onnx_file import OnnxFile, computes_in_float16, count_weights, read_layout, read_onnx
from export.sources.proof_images import choose_images
from export.sources.source import Source


def adopt(
    file: Path,
    options: ImageOptions,
    repository: Path,
    *,
    name: str | None = None,
    data_dir: Path | None = None,
    replace_config: bool = False,
    robustness: bool = True,
) -> Path:
    """Put pixel arithmetic, layout and softmax into the graph, prove it against the untouched file, publish it.

    Returns the version's folder. Raises an ExportError naming the option that is missing or wrong; then nothing has
    been published.
    """
    if not file.is_file():
        raise UsageError(f"{file} {'is a folder' if file.is_dir() else 'does not exist'}: name an ONNX file")
    if options.labels is None:
        raise UsageError(f"--labels is missing: name {file.name}'s classes with a file of one name a line, or imagenet")
    labels = read_labels(options.labels)
    network = read_onnx(file, options.output)
    layout, shape = read_layout(network, options.size)
    batch = fixed_batch(network)
    preprocessing = options.arithmetic(shape[2])
    if preprocessing is None:
        raise UsageError(
            "say how this network's pixels were prepared: either --mean R,G,B --std R,G,B in units of 0..1 "
            "(torchvision: 0.485,0.456,0.406 and 0.229,0.224,0.225) or --preprocessing torch|tf|caffe|unit|none"
        )
    say(f"publishing {file.name}: it reads {'x'.join(map(str, shape))} {layout.upper()}, batch {batch or 'any'}")
    provenance = Provenance(
        license="not stated",
        network=NetworkInfo(name=file.stem, origin="onnx-file", parameters=count_weights(network), weights=file.name),
        labels=labels,
        image=options.policy(shape, preprocessing),
        preprocessing=preprocessing,
    )
    model = OnnxFile(file, layout, network)
    float16 = computes_in_float16(network)
    network = settle_boundary(network, try_shape(model, shape, batch or 2))
    # Before images are read.
    check_count(labels, output_width(network), file.stem)
    check_place(repository, name or file.stem, provenance, replace_config=replace_config)
    source = Source(
        name=name or file.stem,
        model=model,
        provenance=provenance,
        head=options.head,
        images=choose_images(options, labels, shape[2], data_dir),
        computes_in_float16=float16,
        max_batch=batch,
        prepare=normalize,
    )
    return publish_network(
        source, network, repository, layout=layout, replace_config=replace_config, robustness=robustness
    )
