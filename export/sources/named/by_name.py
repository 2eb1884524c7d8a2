"""Networks known by name, as sources to convert: ours and keras.applications', with weights or without."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import keras
import numpy as np
import numpy.typing as npt

from artifact.card import Head, NetworkInfo, Provenance
from artifact.image_policy import ImagePolicy, Preprocessing
from export.data.labels import imagenet_labels, read_labels
from export.data.preprocessing import preset, reference
from export.data.samples import decode_samples
from export.errors import UsageError
from export.progress import say
from export.sources.image_options import ImageOptions
from export.sources.keras_file import read_input_shape
from export.sources.named.applications import APPLICATIONS, build_application
from export.sources.named.random_weights import fit_random_weights
from export.sources.named.weights_file import load_weights
from export.sources.proof_images import choose_images
from export.sources.source import ProofImages, Source
from models.counts import count_parameters
from models.registry import NETWORKS

# How many proof images random weights are fitted to: statistics need a batch, not a data set.
FITTING_IMAGES = 16
# Networks for photos are evaluated on center crops; smaller inputs are made for whole images.
CROPPED_FROM = 200


def build_network(network: str, *, size: tuple[int, int] | None = None, classes: int | None = None) -> keras.Model:
    """A network of the series with random weights. `size` is height and width; they and `classes` are the network's own
    unless given. Raises UsageError for a size that the network can't take.
    """
    entry = NETWORKS[network]
    height, width, channels = entry.input_shape
    try:
        return entry.build(input_shape=(*(size or (height, width)), channels), classes=classes or entry.classes)
    except ValueError as error:
        raise UsageError(str(error)) from error


def load_network(
    network: str, name: str | None, options: ImageOptions, weights: str | None, data_dir: Path | None
) -> Source:
    """A network of the series with a file's weights, or with random ones fitted to the proof images."""
    entry = NETWORKS[network]
    labels = _name_classes(options, entry.classes)
    model = build_network(network, size=options.size, classes=len(labels))
    if weights is not None:
        load_weights(model, Path(weights))
    channels = entry.input_shape[2]
    info = _name_network(network, "convserve", entry.paper, entry.year, model, weights)
    preprocessing = options.arithmetic(channels) or preset("unit" if channels == 1 else "torch", channels)
    title = name or f"{network}-{info.weights.partition('.')[0]}"
    return describe_network(model, info, title, labels, options, preprocessing, "Apache-2.0", data_dir, "logits")


def load_application(
    network: str, name: str | None, options: ImageOptions, weights: str | None, data_dir: Path | None
) -> Source:
    """A network of keras.applications: its own definition, never ours with its weights."""
    labels = _name_classes(options, 1000)
    model = build_application(network, weights, len(labels), options.size)
    family = APPLICATIONS[network]
    info = _name_network(network, "keras.applications", family.paper, family.year, model, weights)
    preprocessing = options.arithmetic(3) or preset(family.preprocessing, 3)
    title = name or f"{network}-{info.weights.partition('.')[0]}"
    license = {"imagenet": family.license, "random": "Apache-2.0"}.get(info.weights, "not stated")
    return describe_network(model, info, title, labels, options, preprocessing, license, data_dir)


def describe_network(
    model: keras.Model,
    info: NetworkInfo,
    name: str,
    labels: tuple[str, ...],
    options: ImageOptions,
    preprocessing: Preprocessing,
    license: str,
    data_dir: Path | None,
    head: Head | None = None,
) -> Source:
    """The source of a network known by name, whose definition may know its head; random weights are fitted here."""
    shape = read_input_shape(model, options.size, model.name)
    policy = options.policy(shape, preprocessing, fit="crop" if min(shape[:2]) >= CROPPED_FROM else "stretch")
    images = choose_images(options, labels, policy.channels, data_dir)
    if info.weights == "random":
        say(f"{info.name} has random weights: fitting its statistics and last layer to {images.source}")
        fit_random_weights(model, _prepare(images, policy, preprocessing))
    return Source(
        name=name,
        model=model,
        provenance=Provenance(license=license, network=info, labels=labels, image=policy, preprocessing=preprocessing),
        head=options.head or head,
        images=images,
        fitted_random_weights=info.weights == "random",
    )


def _name_network(
    network: str,
    origin: Literal["convserve", "keras.applications"],
    paper: str,
    year: int,
    model: keras.Model,
    weights: str | None,
) -> NetworkInfo:
    """What the card says of it. `weights` are a file, the word imagenet, or None: random ones."""
    return NetworkInfo(
        name=network,
        origin=origin,
        paper=paper,
        year=year,
        parameters=count_parameters(model),
        weights="random" if weights is None else Path(weights).name,
    )


def _prepare(images: ProofImages, policy: ImagePolicy, preprocessing: Preprocessing) -> npt.NDArray[np.float32]:
    count = min(FITTING_IMAGES, len(images.samples))
    return reference(decode_samples(images.samples, range(count), policy), preprocessing)


def _name_classes(options: ImageOptions, classes: int) -> tuple[str, ...]:
    """--labels, else ImageNet's thousand, else the numbers of the classes."""
    if options.labels is not None:
        return read_labels(options.labels)
    return imagenet_labels() if classes == 1000 else tuple(map(str, range(classes)))
