"""Networks that are there already, as sources to convert: whatever word `convert` is given, found out what it is."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import keras

from artifact.card import NetworkInfo, Provenance
from artifact.image_policy import Preprocessing
from export.data.datasets import DataSet, load_dataset
from export.data.labels import check_count, read_labels
from export.data.preprocessing import preset
from export.errors import DataError, UsageError, near_miss
from export.graph.network import known_width
from export.progress import say
from export.sources.applications import APPLICATIONS
from export.sources.by_name import load_application, load_network
from export.sources.image_options import ImageOptions
from export.sources.keras_file import (
    SUFFIXES,
    choose_output,
    computes_in_float16,
    load_keras_file,
    prepares_pixels,
    read_input_shape,
)
from export.sources.proof_images import choose_images
from export.sources.run_folder import RUN_FILE, Run, read_run, trained_file
from export.sources.saved_model import MARKER, SavedModel
from export.sources.source import ProofImages, Source
from export.sources.user_code import Definitions
from models.counts import count_parameters
from models.registry import NETWORKS

Kind = Literal["run", "savedmodel", "keras-file", "network", "application"]


def identify(word: str, weights: str | None = None, *, names_first: bool = False) -> Kind:
    """What a word of the command line is: what lies there, else a network of the series or of keras.applications.

    A name that both have is the series', but for ImageNet weights. `names_first`: a folder doesn't hide a network of
    its name; for `train`, whose own run folder may bear it. Raises UsageError where the word is nothing that we know,
    naming the nearest, or where `weights` don't belong to it.
    """
    path = Path(word)
    named = word in NETWORKS or word in APPLICATIONS
    if not (named and names_first) and (kind := _look_at(path)) is not None:
        if weights is not None:
            raise UsageError(f"--weights is for networks by name, {word} has its own weights: leave it out")
        return kind
    if not named:
        raise UsageError(_explain_unknown(word, path))
    if weights == "imagenet" and word not in APPLICATIONS:
        raise UsageError(f"there are no ImageNet weights of {word}: {', '.join(APPLICATIONS)} have them")
    return "network" if word in NETWORKS and weights != "imagenet" else "application"


def _look_at(path: Path) -> Kind | None:
    if (path / RUN_FILE).is_file():
        return "run"
    if (path / MARKER).is_file():
        return "savedmodel"
    return "keras-file" if path.suffix in SUFFIXES and path.is_file() else None


def _explain_unknown(word: str, path: Path) -> str:
    if path.suffix == ".onnx":
        return f"{word}: ONNX files are published by another command,  `convserve-export adopt {shlex.quote(word)}`"
    if path.is_dir():
        return f"{word} is neither a run folder (it has no {RUN_FILE}) nor a SavedModel folder (it has no {MARKER})"
    if path.is_file():
        remedy = f"name its folder, {path.parent}" if path.name == MARKER else "save the model again with model.save"
        return f"{word} is not a Keras file, whose name ends in {', '.join(SUFFIXES)}: {remedy}"
    return (
        f"{word} is neither a run folder nor a .keras or .h5 file or SavedModel folder that exists, nor the name of a "
        f"network{near_miss(word, [*NETWORKS, *APPLICATIONS])}: `convserve-export networks` lists those of the series"
    )


@dataclass(frozen=True)
class LoadOptions:
    """How to open what `convert` is given."""

    weights: str | None = None
    """imagenet, or a file; for networks by name."""
    signature: str | None = None
    code: Path | None = None
    unsafe: bool = False

    def definitions(self) -> Definitions | None:
        """Runs --code."""
        return Definitions(self.code) if self.code is not None else None


def find_source(
    word: str,
    *,
    name: str | None = None,
    image: ImageOptions | None = None,
    load: LoadOptions | None = None,
    data_dir: Path | None = None,
) -> Source:
    """The source that `word` names: a run folder, a SavedModel folder, a Keras file, or a network by its name.

    Raises UsageError where it is none of these, or naming the option that is missing or doesn't belong there.
    """
    image, load = image or ImageOptions(), load or LoadOptions()
    path = Path(word)
    kind = identify(word, load.weights)
    _refuse_idle(kind, word, image, load)
    match kind:
        case "run":
            return load_run(path, name, data_dir, load)
        case "savedmodel" | "keras-file":
            return load_file(path, image, _need_labels(image, path.name), _need_name(name), data_dir, load)
        case "application":
            return load_application(word, name, image, load.weights, data_dir)
        case "network":
            return load_network(word, name, image, load.weights, data_dir)


PURPOSES: dict[str, tuple[str, tuple[Kind, ...]]] = {
    "--signature": ("SavedModel folders", ("savedmodel",)),
    "--output": ("Keras files and SavedModel folders", ("keras-file", "savedmodel")),
    "--code": ("Keras files and runs", ("keras-file", "run")),
    "--unsafe": ("Keras files and runs", ("keras-file", "run")),
}
"""What the options are for that say how a file is opened."""
KINDS: dict[Kind, str] = {
    "run": "a run folder",
    "savedmodel": "a SavedModel folder",
    "keras-file": "a Keras file",
    "network": "a network by name",
    "application": "a network by name",
}


def _refuse_idle(kind: Kind, word: str, image: ImageOptions, load: LoadOptions) -> None:
    """Raise UsageError for an option that this kind of source would leave unused."""
    said = {
        **{"--signature": load.signature, "--output": image.output},
        **{"--code": load.code, "--unsafe": load.unsafe},
    }
    for option, (purpose, kinds) in PURPOSES.items():
        if said[option] and kind not in kinds:
            raise UsageError(f"{option} is for {purpose}, {word} is {KINDS[kind]}: leave it out")
    if kind == "run" and (given := image.given()):
        raise UsageError(
            f"{', '.join(given)}: {word} is a run folder, which records its preprocessing and its data "
            f"set: leave {'it' if len(given) == 1 else 'them'} out"
        )


def load_run(folder: Path, name: str | None, data_dir: Path | None, load: LoadOptions | None = None) -> Source:
    """A finished training. Raises DataError where the run isn't finished or its data set can't be found."""
    run = read_run(folder)
    file, load = trained_file(folder), load or LoadOptions()
    dataset = load_run_data(folder, run, data_dir)
    return Source(
        name=name or run.model_name,
        model=load_keras_file(file, load.definitions(), unsafe=load.unsafe),
        provenance=run,
        head="logits",
        images=ProofImages(dataset.test, f"{dataset.name} test set", dataset.name, dataset.train),
        report=folder / "report",
    )


def load_run_data(folder: Path, run: Run, data_dir: Path | None) -> DataSet:
    """The data set of a run, in `data_dir` or where it was. Raises DataError where its classes have changed."""
    # What is damaged in a folder was decided on before the training.
    where = data_dir or (Path(run.data_dir) if run.data_dir else None)
    dataset = load_dataset(run.dataset, where, skip_damaged=True)
    if dataset.labels != run.labels:
        raise DataError(
            f"{run.dataset} has {len(dataset.labels)} classes now, other than the {len(run.labels)} that {folder} was "
            "trained on: restore them, or train again into another folder"
        )
    return dataset


def load_file(
    file: Path,
    options: ImageOptions,
    labels: tuple[str, ...],
    name: str,
    data_dir: Path | None,
    load: LoadOptions | None = None,
) -> Source:
    """Somebody's own .keras or .h5 file or SavedModel folder. Raises an ExportError naming the option that helps."""
    load, title = load or LoadOptions(), file.resolve().name
    model: keras.Model | SavedModel
    if (file / MARKER).is_file():
        model = SavedModel(file, load.signature, options.output)
        shape, parameters, inside, batch = model.input_shape(options.size), model.parameters, False, model.batch
        float16 = model.computes_in_float16
    else:
        model = choose_output(load_keras_file(file, load.definitions(), unsafe=load.unsafe), options.output, title)
        shape, parameters, inside = (
            read_input_shape(model, options.size, title),
            count_parameters(model),
            prepares_pixels(model),
        )
        batch = model.input_shape[0] if getattr(model, "inputs", None) else None
        float16 = computes_in_float16(model)
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


def _need_labels(options: ImageOptions, file: str) -> tuple[str, ...]:
    if options.labels is None:
        raise UsageError(f"--labels is missing: name {file}'s classes with a file of one name a line, or imagenet")
    return read_labels(options.labels)


def _need_name(name: str | None) -> str:
    if name is None:
        raise UsageError("--name is missing: it becomes the model's address, /predict/NAME")
    return name
