"""Golden images: a few of the proof's images, byte for byte, with the probabilities of Keras and of the exported graph.

The server runs them before it serves a model. A hash finds a damaged file; this finds a wrong build, device or option.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from artifact.card import ModelCard
from artifact.errors import ArtifactError
from artifact.layout import GOLDEN_FILE, GOLDEN_FOLDER


@dataclass(frozen=True)
class Golden:
    """The images that the server replays before it serves, and what they gave."""

    images: dict[str, bytes]
    """Encoded images by file name, in order."""
    keras: npt.NDArray[np.float32]
    """[n, classes]: the untouched network's probabilities."""
    graph: npt.NDArray[np.float32]
    """[n, classes]: the exported graph's."""


def write_golden(folder: Path, golden: Golden) -> None:
    """Write golden/ into a version's folder."""
    home = folder / GOLDEN_FOLDER
    home.mkdir(exist_ok=True)
    for name, image in golden.images.items():
        (home / name).write_bytes(image)
    np.savez(
        home / GOLDEN_FILE,
        files=np.array(list(golden.images)),
        keras=golden.keras.astype(np.float32),
        graph=golden.graph.astype(np.float32),
    )


def read_golden(folder: Path, card: ModelCard) -> Golden:
    """The golden images of a version's folder with the probabilities, float32 [n, classes], that Keras and the exported
    graph gave for them. Raises ArtifactError where a file is missing, damaged or of another
    network.
    """
    home = folder / GOLDEN_FOLDER
    try:
        with np.load(home / GOLDEN_FILE, allow_pickle=False) as arrays:
            names, keras, graph = [str(name) for name in arrays["files"]], arrays["keras"], arrays["graph"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ArtifactError(f"{GOLDEN_FOLDER}/{GOLDEN_FILE} can't be read ({error}): export the model again") from error
    shape = (len(names), len(card.labels))
    if not names or graph.shape != shape or keras.shape != shape:
        raise ArtifactError(
            f"{GOLDEN_FOLDER}/{GOLDEN_FILE} has {len(names)} images and probabilities of shape {graph.shape}, "
            f"the card {len(card.labels)} labels"
        )
    if any(Path(name).name != name for name in names):
        raise ArtifactError(f"{GOLDEN_FOLDER}/{GOLDEN_FILE} names a file outside its folder")
    try:
        images = {name: (home / name).read_bytes() for name in names}
    except OSError as error:
        raise ArtifactError(f"a golden image can't be read: {error}") from error
    return Golden(images, keras, graph)
