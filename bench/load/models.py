"""The models of the load benchmark: how each is made by the export stage, and the image that is posted to it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from artifact.card import ModelCard, read_card
from artifact.layout import MODEL_FILE, list_versions
from bench.load import images
from export.sources.run_folder import read_run, write_run

RUN = "quickstart"
_TRIES = 4


@dataclass(frozen=True)
class LoadModel:
    """One model of the load benchmark, measured beside its `peers`; None means all of them."""

    name: str
    title: str
    make: Callable[[Path], None]
    """Publishes it into its repository, given the folder of all of them."""
    images: Callable[[Path], list[Path]]
    """Candidates, of which the one with the clearest answer is posted."""
    tiny: bool = False
    """Whether it is fast enough to run on the event loop. Then HTTP limits its rate, and its bound is
    bench.load.limit.measure_ceiling instead of measure_loops.
    """
    peers: tuple[str, ...] | None = None
    needs: tuple[str, ...] = ()
    """Environment variables without which it is left out."""


@dataclass(frozen=True)
class Published:
    """A model's newest version."""

    folder: Path
    card: ModelCard

    @property
    def model_file(self) -> Path:
        return self.folder / MODEL_FILE


def repository_of(name: str, folder: Path) -> Path:
    """A repository that holds this model alone: what is served without a flag that chooses."""
    return folder / "repositories" / name


def publish(model: LoadModel, folder: Path) -> Published:
    """Its newest version in its repository, made where there is none. Raises CalledProcessError."""
    home = repository_of(model.name, folder) / model.name
    if not list_versions(home):
        print(f"making {model.name} in {home.parent}: {model.title}", file=sys.stderr, flush=True)
        model.make(folder)
    version = home / str(max(list_versions(home)))
    return Published(version, read_card(version))


def _export(folder: Path, name: str, *words: str) -> None:
    """Run the export stage for the repository of `name`; what it says goes to our standard error."""
    command = [sys.executable, "-m", "export", *words, "--repository", str(repository_of(name, folder))]
    subprocess.run(command, check=True, stdout=sys.stderr)


def _make_content(folder: Path) -> None:
    name = "lenet5-content"
    _export(folder, name, "build", RUN, "--name", name, "--runs", str(folder / "runs"))


def _make_stretch(folder: Path) -> None:
    """The same trained network for whole images of any polarity: what the peers do with an image."""
    original, copy = folder / "runs" / RUN, folder / "runs" / f"{RUN}-stretch"
    if not (original / "model.keras").is_file():
        _make_content(folder)
    copy.mkdir(exist_ok=True)
    run = read_run(original)
    write_run(
        copy, run.model_copy(update={"image": run.image.model_copy(update={"fit": "stretch", "polarity": "any"})})
    )
    (copy / "model.keras").write_bytes((original / "model.keras").read_bytes())
    _export(folder, "lenet5", "convert", str(copy), "--name", "lenet5")


def _make_resnet18(folder: Path) -> None:
    labels = folder / "ten.txt"
    labels.write_text("".join(f"{number}\n" for number in range(10)), encoding="utf-8")
    words = ["--size", "32x32", "--labels", str(labels)]
    _export(folder, "resnet18", "convert", "resnet18", "--name", "resnet18", *words)


def _make_resnet50(folder: Path) -> None:
    _export(folder, "resnet50", "convert", "resnet50", "--name", "resnet50")


def _make_int8(folder: Path) -> None:
    """Quantized with two whole photos, on which random weights are surest: int8 must agree with fp32 on every image,
    and a conversion where it doesn't is tried again with other random weights.
    """
    photos = images.whole_photos(folder / "images" / "whole")[0].parent
    words = ["convert", "resnet50", "--name", "resnet50", "--precision", "int8", "--images", str(photos)]
    words += ["--allow-slower"]  # a benchmark shows that, too
    for _ in range(_TRIES - 1):
        with suppress(subprocess.CalledProcessError):
            return _export(folder, "resnet50-int8", *words)
    return _export(folder, "resnet50-int8", *words)


def _make_mobilenet(folder: Path) -> None:
    (weights,) = Path(os.environ["CONVSERVE_WEIGHTS_DIR"]).glob("mobilenet*.keras")
    words = ["--labels", "imagenet", "--preprocessing", "tf", "--fit", "crop", "--reduced-decode"]
    _export(folder, "mobilenet", "convert", str(weights), "--name", "mobilenet", *words, "--dataset", "photos")


MODELS: dict[str, LoadModel] = {
    model.name: model
    for model in (
        LoadModel("lenet5", "28x28 gray PNG", _make_stretch, images.digits, tiny=True),
        LoadModel("lenet5-content", "28x28 gray PNG, fit content", _make_content, images.digits, tiny=True, peers=()),
        LoadModel("resnet18", "32x32 color PNG, small stem, random weights", _make_resnet18, images.small_crops),
        LoadModel("resnet50", "500x375 JPEG, random weights", _make_resnet50, images.photos_500),
        LoadModel("resnet50-int8", "500x375 JPEG, random weights, int8", _make_int8, images.photos_500),
        LoadModel(
            "mobilenet",
            "12-megapixel JPEG, reduced decode",
            _make_mobilenet,
            images.large_photos,
            peers=("naive", "naive-tuned", "mosec", "mosec-tuned"),
            needs=("CONVSERVE_DATA_DIR", "CONVSERVE_WEIGHTS_DIR"),
        ),
    )
}
