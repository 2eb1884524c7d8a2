"""From the words of `convserve-export train` to a recipe, a data set and what the training starts from."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import keras

from artifact.card import ImagePolicy
from export.cli.options import read_policy_options
from export.data.datasets import DataSet, load_dataset
from export.data.preprocessing import preset
from export.errors import UsageError
from export.progress import say
from export.sources.applications import APPLICATIONS, build_application
from export.sources.find import Kind, LoadOptions, identify
from export.sources.image_options import ImageOptions
from export.sources.keras_file import load_keras_file, prepares_pixels, read_input_shape
from export.sources.run_folder import KERAS_FILE
from export.training.initial_network import Start, start_model, start_network
from export.training.recipes import RECIPES, Recipe, default_recipe, fine_tuning_recipe, fit_to_size, show_characters


def choose_start(options: argparse.Namespace) -> tuple[Recipe, DataSet, Start]:
    """Raises UsageError for words that don't fit together, DataError for a data set that can't be had."""
    kind = _identify(options.network, options.weights)
    dataset = load_dataset(options.dataset, options.data_dir, skip_damaged=options.skip_damaged)
    image = read_policy_options(options)
    if kind == "keras-file":
        file = Path(options.network)
        recipe = _suit(fine_tuning_recipe(file.stem, dataset.title, freeze=options.freeze), dataset, options)
        start = _start_file(file, dataset, image, options)
    elif kind == "application":
        recipe = _suit(fine_tuning_recipe(options.network, dataset.title, freeze=options.freeze), dataset, options)
        start = _start_application(options.network, dataset, image, options)
    else:
        name, recipe = default_recipe(options.network, dataset.title)
        recipe = recipe if name in RECIPES else _suit(recipe, dataset, options)
        built = "".join(f", {key}={value}" for key, value in recipe.options.items())
        say(f"recipe: {name}{built}")
        weights = Path(options.weights) if options.weights else None
        start = start_network(recipe, dataset, image=image, weights=weights, freeze=options.freeze)
    return _change_recipe(recipe, options), dataset, start


def _identify(word: str, weights: str | None) -> Kind:
    """Raises UsageError for what no training begins with, naming what one begins with instead."""
    kind = identify(word, weights, names_first=True)
    if kind == "run":
        raise UsageError(f"{word} is a run folder: a training begins with a network or a file, {word}/{KERAS_FILE}")
    if kind == "savedmodel":
        raise UsageError(f"{word} is a SavedModel folder, which can't be trained on: name a .keras or .h5 file")
    if kind == "application" and weights != "imagenet":
        raise UsageError(
            f"{word} is of keras.applications: it is trained from its ImageNet weights, with --weights imagenet"
        )
    return kind


def _start_file(file: Path, dataset: DataSet, image: ImageOptions, options: argparse.Namespace) -> Start:
    definitions = LoadOptions(code=options.code).definitions()

    def load() -> keras.Model:
        return load_keras_file(file, definitions, unsafe=options.unsafe)

    model = load()
    shape = read_input_shape(model, image.size)
    preprocessing = image.arithmetic(shape[2]) or (preset("none", shape[2]) if prepares_pixels(model) else None)
    if preprocessing is None:
        raise UsageError(
            f"say how {file.name}'s pixels were prepared with --preprocessing tf|caffe|torch|unit|none, or with --mean "
            "and --std: its weights fit that arithmetic alone"
        )
    return start_model(
        file.name,
        load,
        dataset,
        image.over(_resize(dataset, shape), preprocessing),
        preprocessing,
        freeze=options.freeze,
        definitions=definitions,
    )


def _start_application(name: str, dataset: DataSet, image: ImageOptions, options: argparse.Namespace) -> Start:
    def load() -> keras.Model:
        return build_application(name, "imagenet", size=image.size)

    shape = read_input_shape(load(), image.size)
    preprocessing = image.arithmetic(shape[2]) or preset(APPLICATIONS[name].preprocessing, shape[2])
    return start_model(
        f"{name} (ImageNet)",
        load,
        dataset,
        image.over(_resize(dataset, shape), preprocessing),
        preprocessing,
        origin="keras.applications",
        freeze=options.freeze,
    )


def _resize(dataset: DataSet, shape: tuple[int, int, int]) -> ImagePolicy:
    height, width, channels = shape
    return dataset.policy.model_copy(update={"height": height, "width": width, "channels": channels})


def _suit(recipe: Recipe, dataset: DataSet, options: argparse.Namespace) -> Recipe:
    """Defaults made to suit the number of images and what they show."""
    if recipe.augmentation.flip and not options.no_flip and show_characters(dataset.labels):
        say("images aren't flipped: classes of one character look like digits or letters")
        recipe = replace(recipe, augmentation=replace(recipe.augmentation, flip=False))
    if dataset.train is None:
        return recipe
    images = round(len(dataset.train) * (1 - recipe.validation_share))
    return fit_to_size(recipe, images, options.batch_size)


def _change_recipe(recipe: Recipe, options: argparse.Namespace) -> Recipe:
    said = {
        "epochs": options.epochs,
        "batch_size": options.batch_size,
        "learning_rate": options.learning_rate,
    }
    if options.no_flip:
        recipe = replace(recipe, augmentation=replace(recipe.augmentation, flip=False))
    return replace(recipe, **{key: value for key, value in said.items() if value is not None})
