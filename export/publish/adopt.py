"""`adopt FILE.onnx`: somebody's ONNX classifier as an artifact. Imports neither TensorFlow nor Keras."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from artifact.card import NetworkInfo, Preprocessing, Provenance
from export.data.labels import check_count, read_labels
from export.data.preprocessing import custom, normalize, preset
from export.errors import UsageError
from export.graph.batch_dimension import fixed_batch
from export.graph.boundary import settle_boundary
from export.graph.head import output_width
from export.graph.network import try_shape
from export.progress import say
from export.publish.pipeline import publish_network
from export.publish.write import check_place
from export.sources.image_options import ImageOptions
from export.sources.onnx_file import OnnxFile, computes_in_half, count_weights, read_layout, read_onnx
from export.sources.proof_images import choose_images
from export.sources.source import Source

Channels = tuple[float, ...]

# Of pixels in units of 0..1. No mean of theirs is larger; a deviation of 1 leaves them undivided, more is rare.
GREATEST_MEAN, GREATEST_STD = 1, 2


def adopt(
    file: Path,
    options: ImageOptions,
    repository: Path,
    *,
    name: str | None = None,
    mean: Channels | None = None,
    std: Channels | None = None,
    data_dir: Path | None = None,
    replace_config: bool = False,
) -> Path:
    """Put pixel arithmetic, layout and softmax into the graph, prove it against the untouched file, publish it.

    `mean` and `std` are per channel, in units of 0..1. Returns the version's folder. Raises an ExportError naming the
    option that is missing or wrong; then nothing has been published.
    """
    if not file.is_file():
        raise UsageError(f"{file} {'is a folder' if file.is_dir() else 'does not exist'}: name an ONNX file")
    if options.labels is None:
        raise UsageError(f"--labels is missing: name {file.name}'s classes with a file of one name a line, or imagenet")
    labels = read_labels(options.labels)
    network = read_onnx(file, options.output)
    layout, shape = read_layout(network, options.size)
    batch = fixed_batch(network)
    say(f"adopting {file.name}: reads {'x'.join(map(str, shape))} {layout.upper()}, batch {batch or 'any'}")
    provenance = Provenance(
        license="not stated",
        network=NetworkInfo(name=file.stem, origin="onnx-file", parameters=count_weights(network), weights=file.name),
        labels=labels,
        image=options.policy(shape),
        preprocessing=choose_arithmetic(options.preprocessing, mean, std, shape[2]),
    )
    model = OnnxFile(file, layout, network)
    half = computes_in_half(network)
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
        half_precision=half,
        max_batch=batch,
        prepare=normalize,
    )
    return publish_network(source, network, repository, layout=layout, replace_config=replace_config)


def choose_arithmetic(name: str | None, mean: Channels | None, std: Channels | None, channels: int) -> Preprocessing:
    """--preprocessing, or --mean and --std. Raises UsageError where neither or both are given."""
    if (name is None) == (mean is None and std is None):
        raise UsageError(
            "say how this network's pixels were prepared: either --mean R,G,B --std R,G,B in units of 0..1 "
            "(torchvision: 0.485,0.456,0.406 and 0.229,0.224,0.225) or --preprocessing torch|tf|caffe|unit|none"
        )
    if name is not None:
        return preset(name, channels)
    if std is None:
        say("--std is not given: 1 is assumed, that is pixels in units of 0..1 less --mean, undivided")
    if mean is None:
        say("--mean is not given: 0 is assumed")
    mean, std = mean or (0.0,) * channels, std or (1.0,) * channels
    for option, numbers, limit in (("--mean", mean, GREATEST_MEAN), ("--std", std, GREATEST_STD)):
        if len(numbers) != channels:
            raise UsageError(f"{option} has {len(numbers)} numbers, the network reads {channels} channels: one each")
        if not max(map(abs, numbers)) <= limit:  # NaN is refused as well
            raise UsageError(
                f"{option} {_join(numbers)} is in units of 0..1 and can't exceed {limit:g}: numbers in units of 0..255 "
                f"are divided by 255 ({_join(number / 255 for number in numbers)})"
            )
    if min(std) <= 0:
        raise UsageError(f"--std {_join(std)}: deviations are above 0")
    return custom(tuple(255 * number for number in mean), tuple(255 * number for number in std))


def _join(numbers: Iterable[float]) -> str:
    return ",".join(f"{number:.4g}" for number in numbers)
