"""Somebody's own Keras file or SavedModel folder as a source to convert."""

from __future__ import annotations

from pathlib import Path

import keras

from artifact.card import NetworkInfo, Provenance
from artifact.image_policy import Preprocessing
from export.data.labels import check_count, read_labels
from export.data.preprocessing import preset
from export.errors import UsageError
from export.graph.network import known_width
from export.progress import say
from export.sources.image_options import ImageOptions
from export.sources.keras_file import (
    choose_output,
    computes_in_float16,
    load_keras_file,
    prepares_pixels,
    read_input_shape,
)
from export.sources.load_options import LoadOptions
from export.sources.proof_images import choose_images
from export.sources.saved_model import MARKER, SavedModel
from export.sources.source import Source
from models.counts import count_parameters


def load_file(file: Path, name: str | None, options: ImageOptions, load: LoadOptions, data_dir: Path | None) -> Source:
    """Somebody's own .keras or .h5 file or SavedModel folder. Raises an ExportError naming the option that helps."""
    if options.labels is None:
        raise UsageError(f"--labels is missing: name {file.name}'s classes with a file of one name a line, or imagenet")
    labels = read_labels(options.labels)
    if name is None:
        raise UsageError("--name is missing: it becomes the model's address, /predict/NAME")
    title = file.resolve().name
    model: keras.Model | SavedModel
    if (file / MARKER).is_file():
        model = SavedModel(file, load.signature, options.output)
        shape, parameters = model.input_shape(options.size), model.parameters
        inside, batch, float16 = False, model.batch, model.computes_in_float16
    else:
        model = choose_output(load_keras_file(file, load.definitions(), unsafe=load.unsafe), options.output, title)
        shape, parameters = read_input_shape(model, options.size, title), count_parameters(model)
        batch = model.input_shape[0] if getattr(model, "inputs", None) else None
        inside, float16 = prepares_pixels(model), computes_in_float16(model)
    if (width := known_width(model)) is not None:
        check_count(labels, width, title)  # now rather than after the images are checked
    preprocessing = _choose_preprocessing(options, shape[2], inside)
    return Source(
        name=name,
        model=model,
        provenance=Provenance(
            license="not stated",
            network=NetworkInfo(
                name=title,
                origin="savedmodel" if isinstance(model, SavedModel) else "keras-file",
                parameters=parameters,
                weights=file.name,
            ),
            labels=labels,
            image=options.policy(shape, preprocessing),
            preprocessing=preprocessing,
        ),
        head=options.head,
        images=choose_images(options, labels, shape[2], data_dir),
        computes_in_float16=float16,
        max_batch=batch,
    )


def _choose_preprocessing(options: ImageOptions, channels: int, inside: bool) -> Preprocessing:
    """What the user says; `none` where the model begins with Rescaling or Normalization itself."""
    said = options.arithmetic(channels)
    if said is None and not inside:
        raise UsageError(
            "say how this network's pixels were prepared with --preprocessing tf|caffe|torch|unit|none "
            "(keras.applications' modes; unit is x/255, none leaves 0..255), or with --mean and --std: a wrong guess "
            "would give wrong answers"
        )
    if said is not None and said.name != "none" and inside:
        words = f"--preprocessing {said.name}" if said.name != "custom" else "the arithmetic of --mean and --std"
        say(f"the model begins with Rescaling or Normalization itself; {words} comes before it")
    return said or preset("none", channels)
