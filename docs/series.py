"""Writes docs/series.md: the networks' stories from docs/series.toml, their sizes counted from the Keras networks.

python docs/series.py
"""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from math import prod
from pathlib import Path
from typing import Any

import keras

from export.training.recipes.files import shipped_recipes
from models.counts import layer_multiply_adds
from models.network import Network
from models.registry import NETWORKS
from models.response_normalization import LocalResponseNormalization
from models.small_forms import SMALL_FORMS

HERE = Path(__file__).resolve().parent
PAGE = HERE / "series.md"
TEXTS: dict[str, dict[str, Any]] = tomllib.loads((HERE / "series.toml").read_text(encoding="utf-8"))
# What a paper states in words and rounded numbers is met where ours is as near as this.
TOLERANCE = 0.02

HEAD = """# The series, network by network

<!-- made by docs/series.py from docs/series.toml and the networks themselves -->

The series is the set of networks that this project has: those that won ILSVRC, the ImageNet contest, or shaped it, from
LeNet to SENet. The contest's errors (top-5 on the test set, by ensembles) tell the story: 28.2 % in 2010 and 25.8 in
2011 without convolutional networks; 16.4 with AlexNet in 2012 (15.3 with more data); 11.7 in 2013; 7.3 with VGG and
6.67 with GoogLeNet in 2014; 3.57 with ResNet in 2015; 2.99 in 2016, ResNeXt second with 3.03; 2.25 with SENet in 2017.
A person who had trained for it made 5.1. Depth went from 8 layers to 19, 22 and 152, along two lines: Inception's
(split, transform, merge) and the residual one (depth, width, cardinality).

Every number of layers, parameters and multiply-adds here is counted from the network that `convserve-export` trains;
parameters are what training moves, multiply-adds those of convolutions and dense layers for one image, both without
auxiliary heads. Sizes are height x width x channels. A stage's layers are given as window / stride, then channels; a
number before it says how often.

The choice follows an introductory article in Chinese on image classification, "the article" on this page. It has
listings in TensorFlow of AlexNet, VGG11, Inception v3 and ResNet18. Where a listing differs from its paper, the plain
name is the paper's network, and the listing's is called `..._series`.
"""


def page() -> str:
    return HEAD + "\n" + "\n".join([_overview(), *map(section, NETWORKS)])


def section(name: str) -> str:
    """All that the page says of one network."""
    network, text = NETWORKS[name], TEXTS[name]
    parts = [f"## {name}", " ".join(text["story"].split()), _facts(name, network, text), _stages(name, network)]
    return "\n\n".join([*parts, _training(name)]) + "\n"


def stages(network: Network) -> list[tuple[str, list[keras.Layer]]]:
    """The network's layers as it is built by default, in stages by their names; its weights take no memory."""
    with keras.StatelessScope(initialize_variables=False):
        model = network.build()
    keras.backend.clear_session(free_memory=False)  # or Keras would fill these weights after all, later on
    stage, named = "", []
    for layer in model.layers[1:]:
        if (match := _STAGE.match(layer.name)) is not None:
            stage = "end" if match[0] in _END else match[0]
        if not isinstance(layer, keras.layers.Flatten):
            named.append((stage or "conv1", layer))
    # Layers of parallel branches lie in the order of their depth, which is not that of their stages everywhere.
    order = list(dict.fromkeys(stage for stage, _ in named))
    named.sort(key=lambda pair: order.index(pair[0]))
    return [(stage, [layer for _, layer in layers]) for stage, layers in groupby(named, key=lambda pair: pair[0])]


# How the names of a stage's first layers begin; what has another name, such as pool1, belongs to the stage before.
_STAGE = re.compile(
    r"stage\d+|inception_\d[a-z]|mixed_\d[a-z]|stem_[a-c]|reduction_[ab]|[abc](?=\d)|conv\d+[a-z]?|[CSF]\d|fc\d"
    r"|pool$|last|logits"
)
_END = ("pool", "last", "logits")


def parameters(layer: keras.Layer) -> int:
    return sum(prod(weight.shape) for weight in layer.trainable_weights)


def _overview() -> str:
    rows = ["| network | year | parameters | multiply-adds (M) | published error |", "|---|---:|---:|---:|---|"]
    for name, network in NETWORKS.items():
        millions = network.multiply_adds / 1e6
        error = network.published_error or "-"
        shown = f"{millions:,.0f}" if millions >= 10 else f"{millions:.2f}"
        rows.append(f"| [{name}](#{name}) | {network.year} | {network.parameters:,} | {shown} | {error} |")
    return "\n".join(rows) + "\n"


def _facts(name: str, network: Network, text: dict[str, Any]) -> str:
    facts = [f"- Paper: {network.paper}."]
    height, width, channels = network.input_shape
    facts.append(f"- Input {height}x{width}x{channels}, {network.classes} classes.")
    if network.published_error:
        facts.append(f"- Published error of one network: {network.published_error} ({text['error']}).")
    for what, ours in (("parameters", network.parameters), ("multiply_adds", network.multiply_adds)):
        if (stated := text.get("states", {}).get(what)) is not None:
            apart = abs(ours / stated - 1) > TOLERANCE
            why = f": {text['states']['why']}" if apart else ""
            facts.append(
                f"- The paper states {stated:,} {what.replace('_', '-')} ({text['states']['where']}), "
                f"here are {ours:,}{why}."
            )
    if network.auxiliary:
        weights = ", ".join(f"`{head}` ({weight:g})" for head, weight in network.auxiliary.items())
        facts.append(f"- Auxiliary heads in training, with the weights of their losses: {weights}.")
    return "\n".join(facts)


def _stages(name: str, network: Network) -> str:
    rows = ["| stage | layers | output | parameters | multiply-adds |", "|---|---|---|---:|---:|"]
    total_parameters = total_products = 0
    for stage, layers in stages(network):
        weights, products = sum(map(parameters, layers)), sum(map(layer_multiply_adds, layers))
        total_parameters, total_products = total_parameters + weights, total_products + products
        output = "x".join(map(str, layers[-1].output.shape[1:]))
        shown = stage.removeprefix("inception_").removeprefix("mixed_")
        rows.append(f"| {shown} | {_summarize(stage, layers)} | {output} | {weights:,} | {products:,} |")
    # What the registry says is held against the published totals by tests/models/test_registry.py.
    if (total_parameters, total_products) != (network.parameters, network.multiply_adds):
        raise ValueError(f"{name}: its stages sum to {total_parameters:,} parameters and {total_products:,} products")
    rows.append(f"| **all** | | | **{total_parameters:,}** | **{total_products:,}** |")
    return "\n".join(rows)


def _summarize(stage: str, layers: list[keras.Layer]) -> str:
    if any(isinstance(layer, keras.layers.Concatenate) for layer in layers):
        # The branches of an Inception module in the paper's order, which their names have; then what follows it.
        layers = sorted(layers, key=lambda layer: (not layer.name.startswith(stage), layer.name))
    counted = Counter(word for layer in layers for word in _words(layer))
    return ", ".join(word if count == 1 else f"{count} x {word}" for word, count in counted.items())


def _words(layer: keras.Layer) -> Iterator[str]:
    match layer:
        case keras.layers.Conv2D():
            groups = f" in {layer.groups} groups" if layer.groups > 1 else ""
            yield f"{_window(layer.kernel_size, layer.strides)} {layer.filters}{groups}"
        case keras.layers.MaxPooling2D():
            yield f"max {_window(layer.pool_size, layer.strides)}"
        case keras.layers.GlobalAveragePooling2D():
            yield "mean"
        case keras.layers.AveragePooling2D():
            yield f"mean {_window(layer.pool_size, layer.strides)}"
        case keras.layers.Dense():
            yield f"dense {layer.units}"
        case keras.layers.Dropout():
            yield f"dropout {layer.rate:g}"
        case LocalResponseNormalization():
            yield "response normalization"


def _window(size: tuple[int, int], strides: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}" + (f"/{strides[0]}" if strides[0] > 1 else "")


def _training(name: str) -> str:
    lines = ["To train it:", ""]
    for recipe_name, recipe in shipped_recipes():
        if recipe.network == name:
            data = " --data-dir DATA" if recipe.dataset == "imagenet" else ""
            lines.append(f"    convserve-export train --recipe {recipe_name}{data}")
    height, _, channels = SMALL_FORMS[name].get("input_shape", NETWORKS[name].input_shape)
    width = SMALL_FORMS[name].get("width")
    small = f" --set width={width}" if width is not None else ""
    dataset = "FOLDER" if height > 32 else "mnist" if channels == 1 else "cifar10"
    lines.append(f"    convserve-export train {name} --dataset {dataset}{small}")
    return "\n".join(lines)


def main() -> None:
    PAGE.write_text(page(), encoding="utf-8")
    print(f"wrote {PAGE}")


if __name__ == "__main__":
    main()
