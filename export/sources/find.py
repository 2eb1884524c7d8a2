"""Finds out what an argument of `convert` names: a run, a file, or a network by name; and opens it as a source."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Literal

from artifact.errors import near_miss
from export.errors import UsageError
from export.sources.file_source import load_file
from export.sources.image_options import ImageOptions
from export.sources.keras_file import SUFFIXES
from export.sources.load_options import LoadOptions
from export.sources.named.applications import APPLICATIONS
from export.sources.named.by_name import load_application, load_network
from export.sources.run_folder import RUN_FILE
from export.sources.run_source import load_run
from export.sources.saved_model import MARKER
from export.sources.source import Source
from models.registry import NETWORKS

Kind = Literal["run", "savedmodel", "keras-file", "network", "application"]


def identify(word: str, weights: str | None = None, *, names_first: bool = False) -> Kind:
    """What an argument of the command names: a file or folder, else a network of the series or of keras.applications.

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
        return f"{word}: ONNX files are published by another command, `convserve-export adopt {shlex.quote(word)}`"
    if path.is_dir():
        return (
            f"{word} is neither a run folder (it has no {RUN_FILE}) nor a SavedModel folder (it has no {MARKER}): name "
            "one of these, or a .keras or .h5 file"
        )
    if path.is_file():
        remedy = f"name its folder, {path.parent}" if path.name == MARKER else "save the model again with model.save"
        return f"{word} is not a Keras file, whose name ends in {', '.join(SUFFIXES)}: {remedy}"
    return (
        f"{word} is neither a run folder nor a .keras or .h5 file or SavedModel folder that exists, nor the name of a "
        f"network{near_miss(word, [*NETWORKS, *APPLICATIONS])}: `convserve-export networks` lists those of the series"
    )


def find_source(
    word: str,
    *,
    name: str | None,
    image: ImageOptions,
    load: LoadOptions,
    data_dir: Path | None,
) -> Source:
    """The source that `word` names: a run folder, a SavedModel folder, a Keras file, or a network by its name.

    Raises UsageError where it is none of these, or naming the option that is missing or doesn't belong there.
    """
    path = Path(word)
    kind = identify(word, load.weights)
    _refuse_idle(kind, word, image, load)
    match kind:
        case "run":
            return load_run(path, name, data_dir, load)
        case "savedmodel" | "keras-file":
            return load_file(path, name, image, load, data_dir)
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
