"""Networks that exist already, as a training begins with them: a run's, a file's, one of keras.applications."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Literal

import keras

from artifact.card import NetworkInfo, Provenance
from artifact.image_policy import ImagePolicy, Preprocessing
from export.data.datasets import DataSet
from export.data.preprocessing import preset
from export.errors import UsageError
from export.sources.find import Kind
from export.sources.image_options import ImageOptions
from export.sources.keras_file import load_keras_file, prepares_pixels, read_input_shape
from export.sources.load_options import LoadOptions
from export.sources.named.applications import APPLICATIONS, build_application
from export.sources.named.weights_file import load_fitting_weights
from export.sources.run_folder import trained_file
from export.training.initial.initial_network import InitialNetwork, choose_arithmetic, start_model
from export.training.recipes.files import Recorded
from export.training.recipes.recipe import Recipe


def start_existing(
    kind: Kind,
    network: str,
    recipe: Recipe,
    dataset: DataSet,
    image: ImageOptions,
    options: LoadOptions,
    previous: Provenance | None,
    run: Recorded | None,
) -> InitialNetwork:
    """The network, and the image policy and arithmetic that it trains with, as `image` changes them.

    `previous` is what the training that is repeated left, whose image policy and arithmetic are taken; `run` is the
    run that is trained further. Raises UsageError for options that don't fit the network, DataError for a file that
    can't be loaded.
    """
    if run is not None:
        assert run.provenance is not None
        return _start_run(Path(network), run.provenance, recipe, dataset, image, options, previous)
    if kind == "application":
        return _start_application(network, recipe, dataset, image, previous)
    return _start_file(Path(network), recipe, dataset, image, options, previous)


def _start_run(
    folder: Path,
    run: Provenance,
    recipe: Recipe,
    dataset: DataSet,
    image: ImageOptions,
    options: LoadOptions,
    previous: Provenance | None,
) -> InitialNetwork:
    """The run's network with its own image policy and arithmetic, or those of the training that is repeated, which the
    image options change."""
    definitions = options.definitions()
    load = partial(load_keras_file, trained_file(folder), definitions, unsafe=options.unsafe)
    before = previous or run
    shape = read_input_shape(load(), _size(image, before), folder.name)
    preprocessing = image.arithmetic(shape[2]) or before.preprocessing
    weights = f"trained further from {folder.name}{', head only' if recipe.freeze else ''}"
    return start_model(
        folder.name,
        run.network.model_copy(update={"weights": weights}),
        load,
        dataset,
        _policy(shape, dataset, image, before, preprocessing),
        preprocessing,
        labels=run.labels,
        freeze=recipe.freeze,
        definitions=definitions,
        unsafe=options.unsafe,
    )


def _start_file(
    file: Path, recipe: Recipe, dataset: DataSet, image: ImageOptions, options: LoadOptions, previous: Provenance | None
) -> InitialNetwork:
    definitions = options.definitions()
    load = partial(load_keras_file, file, definitions, unsafe=options.unsafe)
    model = load()
    shape = read_input_shape(model, _size(image, previous), file.name)
    preprocessing = choose_arithmetic(image, shape[2], previous, recipe)
    if preprocessing is None and prepares_pixels(model):
        preprocessing = preset("none", shape[2])
    if preprocessing is None:
        raise UsageError(
            f"say how {file.name}'s pixels were prepared with --preprocessing tf|caffe|torch|unit|none, or with --mean "
            "and --std: its weights fit that arithmetic alone"
        )
    return start_model(
        file.name,
        _describe(file.name, "keras-file", recipe),
        load,
        dataset,
        _policy(shape, dataset, image, previous, preprocessing),
        preprocessing,
        freeze=recipe.freeze,
        definitions=definitions,
        unsafe=options.unsafe,
    )


def _start_application(
    name: str, recipe: Recipe, dataset: DataSet, image: ImageOptions, previous: Provenance | None
) -> InitialNetwork:
    size = _size(image, previous)

    def load() -> keras.Model:
        if recipe.weights == "imagenet":
            return build_application(name, "imagenet", size=size)
        model = build_application(name, None, size=size)
        left = load_fitting_weights(model, file := Path(recipe.weights))
        if left not in ([], [model.layers[-1].name]):  # the head is made new
            raise UsageError(f"--weights {file} fill only a part of {name}, not {', '.join(left)}")
        return model

    shape = read_input_shape(load(), size, name)
    preprocessing = choose_arithmetic(image, shape[2], previous, recipe)
    preprocessing = preprocessing or preset(APPLICATIONS[name].preprocessing, shape[2])
    title = f"{name} ({'ImageNet' if recipe.weights == 'imagenet' else Path(recipe.weights).name})"
    return start_model(
        title,
        _describe(title, "keras.applications", recipe),
        load,
        dataset,
        _policy(shape, dataset, image, previous, preprocessing),
        preprocessing,
        freeze=recipe.freeze,
    )


def _describe(title: str, origin: Literal["keras-file", "keras.applications"], recipe: Recipe) -> NetworkInfo:
    weights = f"fine-tuned from {title}{', head only' if recipe.freeze else ''}"
    return NetworkInfo(name=title, origin=origin, parameters=0, weights=weights)


def _size(image: ImageOptions, previous: Provenance | None) -> tuple[int, int] | None:
    return image.size or ((previous.image.height, previous.image.width) if previous is not None else None)


def _policy(
    shape: tuple[int, int, int],
    dataset: DataSet,
    image: ImageOptions,
    previous: Provenance | None,
    preprocessing: Preprocessing,
) -> ImagePolicy:
    """That of the training which is repeated, or the data set's, at the network's input size, as `image` changes it."""
    height, width, channels = shape
    policy = previous.image if previous is not None else dataset.policy
    sized = policy.model_copy(update={"height": height, "width": width, "channels": channels})
    return image.over(sized, preprocessing)
