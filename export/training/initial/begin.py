"""Determines a training's recipe, data set and initial network from the command line and a recorded recipe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from artifact.image_policy import ImagePolicy
from export.data.datasets import DataSet, load_dataset
from export.data.samples import ArraySamples
from export.data.stored.pixel_cache import CachedSamples, PixelCache
from export.data.trained_on import is_trained_on, locate
from export.errors import UsageError
from export.progress import say
from export.sources.find import Kind, identify
from export.sources.image_options import ImageOptions
from export.sources.keras_file import SUFFIXES
from export.sources.load_options import LoadOptions
from export.sources.named.applications import APPLICATIONS
from export.training.initial.existing_network import start_existing
from export.training.initial.initial_network import InitialNetwork, build_arguments, start_network
from export.training.recipes.defaults import (
    default_recipe,
    fine_tuning_recipe,
    fit_to_size,
    further_recipe,
    show_characters,
)
from export.training.recipes.fields import full_key
from export.training.recipes.files import SHIPPED, Recorded, recorded_run
from export.training.recipes.recipe import Recipe, change, check_values
from models.registry import NETWORKS


@dataclass(frozen=True)
class Words:
    """The arguments of `train`; None or empty if not given."""

    network: str | None = None
    """NETWORK, FILE or RUN."""
    dataset: str | None = None
    data_dir: Path | None = None
    changes: Sequence[tuple[str, Any]] = ()
    """Fields of the recipe and their values; later ones override earlier ones."""
    image: ImageOptions = field(default_factory=ImageOptions)
    load: LoadOptions = field(default_factory=LoadOptions)
    """Only `code` and `unsafe`: weights are a field of the recipe."""
    seed: int | None = None
    skip_damaged: bool = False
    cache: Path | None = None
    """Folder for a cache of decoded pixels."""
    cache_bytes: int = 0
    """The largest size of the cache."""


@dataclass(frozen=True)
class Beginning:
    """Everything that a training starts from."""

    recipe: Recipe
    dataset: DataSet
    initial: InitialNetwork
    seed: int
    data_dir: Path | None
    title: str
    """Of the recipe's file, where network and data set are as it says."""
    before: Path | None = None
    """The run that is trained further."""

    @property
    def folder(self) -> Path:
        """Where the run is kept unless somebody says otherwise."""
        if self.before is not None:
            before = self.before if self.before.name else self.before.resolve()
            return before.with_name(f"{before.name}-further")
        return Path("runs") / self.title


def begin(words: Words, recorded: Recorded | None = None) -> Beginning:
    """Determine what a training begins with. Raises UsageError for arguments that don't fit together, DataError for a
    data set or a run that can't be read.

    `recorded` is a recipe from a file. What `words` say overrides it; what neither says is a default for the network
    and the data set, and for a run what its own training did.
    """
    network = words.network or _first_word(recorded)
    named = network in NETWORKS or network in APPLICATIONS
    weights = dict(words.changes).get("weights", recorded.recipe.weights if recorded is not None and named else "")
    kind = _identify(network, weights)
    said = {full_key(key, build_arguments(network) if network in NETWORKS else ()): of for key, of in words.changes}
    _check_changes(said)
    run = recorded_run(Path(network)) if kind == "run" else None
    there = recorded if recorded is not None and recorded.dataset else run
    if not (where := words.dataset or (there.dataset if there is not None else None)):
        raise UsageError("--dataset is missing: name a data set, or the folder or file that it is")
    again = there if words.dataset is None else None
    # What is damaged in a folder was decided on before the training that is repeated.
    known = again is not None and again.provenance is not None
    if again is not None and known:
        where = locate(where, again.title)
    data_dir = words.data_dir or (again.data_dir if again is not None else None)
    dataset = load_dataset(where, data_dir, skip_damaged=words.skip_damaged or known)
    base = _choose_recipe(kind, network, dataset, recorded, run, said)
    if run is not None:
        title, weights = run.recipe.network, network
    elif kind == "keras-file":
        title, weights = Path(network).stem, network
    else:
        title = network
    recipe = change(base, {"network": title, "dataset": dataset.title, **said, "weights": weights}.items())
    if kind != "network":
        recipe = _keep_options(recipe, run, network)
    seed = _choose_seed(words.seed, dataset, recipe, run, recorded)
    previous = None  # how pixels were prepared is a matter of that network and that data set
    if recorded is not None and recorded.recipe.network == title and _is_of(recorded, dataset):
        # Another run than the one that the repeated training began with keeps its own arithmetic.
        same = run is None or Path(recorded.recipe.weights).name == Path(network).name
        previous = recorded.provenance if same else None
    if kind == "network":
        initial = start_network(recipe, dataset, image=words.image, previous=previous)
    else:
        initial = start_existing(kind, network, recipe, dataset, words.image, words.load, previous, run)
    if words.cache is not None:
        dataset = _keep_pixels(dataset, initial.image, words.cache, words.cache_bytes)
        if recipe.augmentation.cuts:
            say(
                f"--cache {words.cache} helps validation alone: random_resized_crop and scale_jitter cut every "
                "training image anew out of its file"
            )
    name = recipe.model_name
    if recorded is not None and recorded.recipe.model_name == name:
        name = recorded.title
    return Beginning(recipe, dataset, initial, seed, data_dir, name, Path(network) if run is not None else None)


def _is_of(recorded: Recorded, dataset: DataSet) -> bool:
    """Whether a recorded training was on these images: a run knows where they lay, a card which they were."""
    known = recorded.provenance
    return recorded.dataset == dataset.name or (known is not None and is_trained_on(known.training, dataset))


def _keep_pixels(dataset: DataSet, policy: ImagePolicy, cache: Path, limit: int) -> DataSet:
    """The set with its training images' pixels in a cache. Raises UsageError where they are in memory."""
    if dataset.train is None or isinstance(dataset.train, ArraySamples):
        raise UsageError(f"--cache {cache}: {dataset.title} has no image files to decode for training, leave it out")
    return replace(dataset, train=CachedSamples(dataset.train, PixelCache(cache, policy, limit)))


def _first_word(recorded: Recorded | None) -> str:
    """What the recorded training began with: a network by name, or the file or run that its weights came from."""
    if recorded is None or not (recorded.recipe.network or recorded.recipe.weights):
        raise UsageError("name what to train: NETWORK, FILE.keras or RUN, or a --recipe that names its network")
    network, weights = recorded.recipe.network, recorded.recipe.weights
    by_name = network in NETWORKS or network in APPLICATIONS
    if not weights or (by_name and (weights == "imagenet" or Path(weights).suffix in SUFFIXES)):
        return network
    if not Path(weights).exists():
        raise UsageError(
            f"the recipe's training began with {weights}, which isn't here: name it as the first word, "
            f"train PATH/{weights} --recipe ..."
        )
    return weights


def _check_changes(said: dict[str, Any]) -> None:
    """Raise UsageError for values that can't be, and for the fields that have words of their own."""
    for key, words in (
        ("network", "as the first word"),
        ("dataset", "with --dataset"),
        ("preprocessing", "with --preprocessing"),
    ):
        if key in said:
            raise UsageError(f"--set {key}: the {key} is named {words}")
    check_values({"network": "", "dataset": "", "epochs": 1, **said})


def _identify(word: str, weights: str) -> Kind:
    """Raises UsageError for what no training begins with, naming what one begins with instead."""
    kind = identify(word, weights or None, names_first=True)
    if kind == "savedmodel":
        raise UsageError(f"{word} is a SavedModel folder, which can't be trained on: name a .keras or .h5 file")
    if kind == "application" and not weights:
        raise UsageError(
            f"{word} is of keras.applications: it is trained from weights that it has, with --weights imagenet, or "
            "with --weights FILE for a .keras, .h5 or .weights.h5 file of yours"
        )
    return kind


def _choose_recipe(
    kind: Kind, network: str, dataset: DataSet, recorded: Recorded | None, run: Recorded | None, said: dict[str, Any]
) -> Recipe:
    if recorded is not None:
        return recorded.recipe
    freeze = said.get("freeze", False)
    if run is not None:
        return _suit(further_recipe(run.recipe, freeze=freeze), dataset, said)
    if kind != "network":
        return _suit(fine_tuning_recipe(Path(network).stem, dataset.title, freeze=freeze), dataset, said)
    name, recipe = default_recipe(network, dataset.title)
    say(f"recipe: {name}" + "".join(f", {key}={value}" for key, value in recipe.options.items()))
    return recipe if name in SHIPPED else _suit(recipe, dataset, said)


def _suit(recipe: Recipe, dataset: DataSet, said: dict[str, Any]) -> Recipe:
    """Defaults made to suit the number of images and what they show."""
    if recipe.augmentation.flip and "augmentation.flip" not in said and show_characters(dataset.labels):
        say("images aren't flipped, since class names of one character look like digits or letters")
        recipe = replace(recipe, augmentation=replace(recipe.augmentation, flip=False))
    if dataset.train is None:
        return recipe
    images = round(len(dataset.train) * (1 - recipe.validation_share))
    return fit_to_size(recipe, images, said.get("batch_size"))


def _keep_options(recipe: Recipe, run: Recorded | None, network: str) -> Recipe:
    """What is built already keeps the options that it was built with. Raises UsageError for others."""
    built = run.recipe.options if run is not None else {}
    if recipe.options not in ({}, built):
        raise UsageError(f"options.{next(iter(recipe.options))}: {network} is built already, and takes no options")
    return replace(recipe, options=built)


def _choose_seed(
    said: int | None, dataset: DataSet, recipe: Recipe, run: Recorded | None, recorded: Recorded | None
) -> int:
    """A run trained further on its own data set holds back the images that its training held back.

    Raises UsageError for another seed or share: the network would be validated on images that it was trained on.
    """
    if run is None or run.dataset != dataset.name:
        known = recorded.seed if recorded is not None else None
        return said if said is not None else known or 0
    assert run.seed is not None
    for word, now, then in (
        ("--seed ", said, run.seed),
        ("--set validation_share=", recipe.validation_share, run.recipe.validation_share),
    ):
        if now not in (None, then):
            raise UsageError(
                f"{word}{now:g}: the run held its validation images of {dataset.title} back by {then:g}; by another "
                f"it would be validated on images that it was trained on: pass {word}{then:g}"
            )
    training = run.provenance.training if run.provenance is not None else None
    if training is not None and dataset.train is not None:
        before = training.images + training.validation_images
        if before != len(dataset.train):
            say(
                f"{dataset.title} has {len(dataset.train):,} training images now, {before:,} before: some of those "
                "that validate were trained on, so that validation accuracy is too high; the test "
                "images are still unseen"
            )
    return run.seed
