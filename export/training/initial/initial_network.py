"""What a training starts from: a network of the registry, fresh or with weights, or somebody's own Keras file.

It knows how to build the uncompiled network whose output is logits [batch, classes] (or a dict with auxiliary heads),
and what the run will say of its input.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras

from artifact.card import NetworkInfo, Provenance
from artifact.errors import near_miss
from artifact.image_policy import ImagePolicy, Preprocessing
from export.data.datasets import DataSet
from export.data.preprocessing import preset
from export.errors import UsageError
from export.progress import say
from export.sources.image_options import ImageOptions
from export.sources.keras2.record import read_record
from export.sources.keras_file import load_keras_file
from export.sources.named.weights_file import load_fitting_weights
from export.sources.user_code import Definitions
from export.training.recipes.recipe import Recipe
from models.depth import deep_recursion
from models.registry import NETWORKS


@dataclass(frozen=True)
class InitialNetwork:
    """`build` gives the uncompiled network; `preprocessing` None is measured on the training images."""

    info: NetworkInfo
    image: ImagePolicy
    build: Callable[[], keras.Model]
    preprocessing: Preprocessing | None = None
    auxiliary: Mapping[str, float] = field(default_factory=dict)
    """Auxiliary outputs and their loss weights."""
    definitions: Definitions | None = None
    """Of a file's own layers: checkpoints hold them, too."""
    unsafe: bool = False
    """Whether checkpoints may hold Lambda layers, as the file does."""


def start_network(
    recipe: Recipe,
    dataset: DataSet,
    *,
    image: ImageOptions | None = None,
    previous: Provenance | None = None,
) -> InitialNetwork:
    """A network of the registry for the classes of `dataset`, whose image policy `image` changes; photos of any size
    take its size or the network's own.

    `previous` is what an earlier training on the same data set left: its image policy and arithmetic are taken. The
    recipe's `weights` name a .keras file of the same network: every layer that fits is loaded, the others are named.
    """
    network = NETWORKS[recipe.network]
    weights = Path(recipe.weights) if recipe.weights else None
    image, policy = image or ImageOptions(), previous.image if previous is not None else dataset.policy
    if image.size is not None and not dataset.any_size:
        raise UsageError(f"--size: the images of {dataset.name} are {policy.height}x{policy.width}, as they are")
    if dataset.any_size:
        height, width = image.size or (policy.shape[:2] if previous is not None else network.input_shape[:2])
        channels = network.input_shape[2]
        policy = policy.model_copy(update={"height": height, "width": width, "channels": channels})
    preprocessing = choose_arithmetic(image, policy.channels, previous, recipe)
    policy = image.over(policy, preprocessing)
    options: dict[str, Any] = dict(recipe.options)
    if unknown := sorted(options.keys() - build_arguments(recipe.network)):
        raise UsageError(
            f"{recipe.network} has no option {unknown[0]}{near_miss(unknown[0], build_arguments(recipe.network))}: "
            f"there are {', '.join(build_arguments(recipe.network)) or 'none'}"
        )
    _check_options(recipe.network, options)
    if network.auxiliary:
        options.setdefault("auxiliary", True)

    def build() -> keras.Model:
        try:
            with deep_recursion():
                model = network.build(input_shape=policy.shape, classes=len(dataset.labels), **options)
        except (ValueError, TypeError) as error:
            raise UsageError(str(error)) from error
        if weights is not None:
            _load_fitting_layers(model, weights, recipe.freeze)
        return model

    info = NetworkInfo(
        name=recipe.network,
        origin="convserve",
        paper=network.paper,
        year=network.year,
        parameters=0,
        weights="trained" if weights is None else f"fine-tuned from {weights.name}",
    )
    auxiliary = network.auxiliary if options.get("auxiliary") else {}
    return InitialNetwork(info, policy, build, preprocessing, auxiliary=auxiliary)


def choose_arithmetic(
    image: ImageOptions, channels: int, previous: Provenance | None, recipe: Recipe
) -> Preprocessing | None:
    """How pixels are prepared: as the image options say, else as the repeated training did, else as the recipe says."""
    if (said := image.arithmetic(channels)) is not None:
        return said
    if previous is not None:
        return previous.preprocessing
    return preset(recipe.preprocessing, channels) if recipe.preprocessing else None


def build_arguments(network: str) -> list[str]:
    """What `options` of a recipe may say of a network of the registry."""
    parameters = inspect.signature(NETWORKS[network].build).parameters
    return [name for name in parameters if name not in ("input_shape", "classes")]


def _check_options(network: str, options: Mapping[str, Any]) -> None:
    """Raise UsageError for a value of another type than the argument of the network's build has."""
    parameters = inspect.signature(NETWORKS[network].build).parameters
    for name, value in options.items():
        types, words = _TYPES.get(parameters[name].annotation, ((str, type(None)), "a word"))
        if type(value) not in types:
            raise UsageError(f"{network}: {name}={json.dumps(value)} does not fit: give {words}")


_TYPES: Mapping[Any, tuple[tuple[type, ...], str]] = {
    bool: ((bool,), "true or false"),
    int: ((int,), "a whole number"),
    float: ((int, float), "a number"),
}


def start_model(
    title: str,
    info: NetworkInfo,
    load: Callable[[], keras.Model],
    dataset: DataSet,
    policy: ImagePolicy,
    preprocessing: Preprocessing,
    *,
    labels: Sequence[str] = (),
    freeze: bool,
    definitions: Definitions | None = None,
    unsafe: bool = False,
) -> InitialNetwork:
    """A trained Keras model with a new head for the classes of `dataset`; everything below it keeps its weights.

    Where its outputs are logits of known `labels`, and those are the data set's, the head is kept, too. Frozen layers
    are not trained, and their batch normalization stays in inference mode.
    """

    def build() -> keras.Model:
        model = load()
        body, size = _cut_head(model, title)
        for layer in model.layers:
            layer.trainable = not freeze
        if tuple(labels) == dataset.labels:
            say(f"loaded {title}, with its head: the classes are the same")
            model.layers[-1].trainable = True
            return model
        head = keras.layers.Dense(len(dataset.labels), name="logits", dtype="float32")
        say(f"loaded {title}; its head of {size} classes is replaced by a new one for {len(dataset.labels)}")
        return keras.Model(model.inputs[0], head(body))

    return InitialNetwork(info, policy, build, preprocessing, definitions=definitions, unsafe=unsafe)


def _cut_head(model: keras.Model, title: str) -> tuple[keras.KerasTensor, int]:
    """The tensor that the last dense layer reads, and that layer's width."""
    if not model.layers or not getattr(model, "inputs", None):
        raise UsageError(f"{title} is a subclassed model: only functional and sequential ones can get a new head")
    for layer in reversed(model.layers):
        if isinstance(layer, keras.layers.Dense):
            return layer.input, layer.units
        if layer.weights:
            break
    raise UsageError(f"{title} does not end in a dense layer: it has no head to replace for the data set")


def _load_fitting_layers(model: keras.Model, file: Path, freeze: bool) -> None:
    """Take the layers that fit, and say which are new; of a whole model those of the same name, the head only where
    the classes are the same."""
    if not file.is_file():
        raise UsageError(f"--weights {file}: there is no such file")
    weighted = [layer for layer in model.layers if layer.weights]
    left = load_fitting_weights(model, file) if read_record(file).config is None else _copy_by_name(weighted, file)
    if len(left) == len(weighted):
        raise UsageError(f"{file}: no layer fits {model.name}: these are the weights of another network")
    for layer in weighted:
        layer.trainable = not freeze or layer.name in left
    say(f"loaded {len(weighted) - len(left)} layers from {file.name}; new: {', '.join(left) or 'none'}")


def _copy_by_name(layers: Sequence[keras.Layer], file: Path) -> list[str]:
    """The names of the layers that found no other with their name and shapes."""
    given = {layer.name: layer for layer in load_keras_file(file).layers if layer.weights}
    left: list[str] = []
    for layer in layers:
        other = given.get(layer.name)
        if other is None or [w.shape for w in other.weights] != [w.shape for w in layer.weights]:
            left.append(layer.name)
        else:
            layer.set_weights(other.get_weights())
    return left
