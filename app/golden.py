"""Golden replay: the artifact's own images through this decoder, device and build, against what the
exported graph gave.

A hash finds a damaged file; the replay finds what a hash can't: a wrong build, device or option.
"""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from app.card import GOLDEN_FILE, GOLDEN_FOLDER, MODEL_FILE, ModelCard
from app.errors import ArtifactError, ConvserveError
from app.images import Pixels, decode_image
from app.session import OnnxSession


def check_sha256(folder: Path, card: ModelCard) -> None:
    """Raises ArtifactError where model.onnx isn't the file that the card was written for."""
    try:
        with (folder / MODEL_FILE).open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ArtifactError(f"{MODEL_FILE} can't be read ({error.strerror}): export the model again") from error
    if found != card.sha256:
        raise ArtifactError(
            f"{MODEL_FILE} is damaged or was exchanged: its sha256 is {found[:12]}..., the card says "
            f"{card.sha256[:12]}...: export the model again"
        )


def replay(folder: Path, card: ModelCard, session: OnnxSession) -> float:
    """Run the golden images in batches and row by row; the largest difference found, in units of probability.

    Raises ArtifactError where a probability isn't finite, departs by more than the card's tolerance for
    this kind of device, or changes the top class although the golden margin exceeds that tolerance.
    """
    files, expected = _read_expected(folder, card)
    try:
        rows = [decode_image((folder / GOLDEN_FOLDER / name).read_bytes(), card.image) for name in files]
    except (OSError, ConvserveError) as error:
        raise ArtifactError(f"a golden image can't be read: {error}") from error
    tolerance = card.replay.cuda if session.device.is_cuda else card.replay.cpu
    size = session.max_batch_size
    batched = _probabilities(session, [rows[start : start + size] for start in range(0, len(rows), size)])
    single = _probabilities(session, [[row] for row in rows])
    return max(
        _compare(files, expected, found, tolerance, f"{way} on {session.device.name}")
        for way, found in (("in a batch", batched), ("alone", single))
    )


def _probabilities(session: OnnxSession, batches: list[list[Pixels]]) -> npt.NDArray[np.float32]:
    return np.stack([scores.probabilities for batch in batches for scores in session.run(batch)])


def _read_expected(folder: Path, card: ModelCard) -> tuple[list[str], npt.NDArray[np.float32]]:
    try:
        with np.load(folder / GOLDEN_FOLDER / GOLDEN_FILE, allow_pickle=False) as arrays:
            files, expected = [str(name) for name in arrays["files"]], arrays["graph"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ArtifactError(f"{GOLDEN_FOLDER}/{GOLDEN_FILE} can't be read ({error}): export the model again") from error
    if not files or expected.shape != (len(files), len(card.labels)):
        raise ArtifactError(
            f"{GOLDEN_FOLDER}/{GOLDEN_FILE} has {len(files)} images and probabilities of shape "
            f"{expected.shape}, "
            f"the card {len(card.labels)} labels"
        )
    if any(Path(name).name != name for name in files):
        raise ArtifactError(f"{GOLDEN_FOLDER}/{GOLDEN_FILE} names a file outside its folder")
    return files, expected


def _compare(
    files: list[str],
    expected: npt.NDArray[np.float32],
    found: npt.NDArray[np.float32],
    tolerance: float,
    where: str,
) -> float:
    if not np.isfinite(found).all():
        name = files[int(np.argmin(np.isfinite(found).all(axis=1)))]
        raise ArtifactError(f"golden replay {where}: {name} gives probabilities that are not finite")
    differences = np.abs(found - expected).max(axis=1)
    worst = int(differences.argmax())
    # `not <=` rather than `>`: a NaN among the expected must not pass.
    if not differences[worst] <= tolerance:
        raise ArtifactError(
            f"golden replay {where}: {files[worst]} departs by {differences[worst]:.2g} from the exported "
            "graph, "
            f"the tolerance is {tolerance:g}"
        )
    top = np.sort(expected, axis=1)
    decided = top[:, -1] - top[:, -2] > tolerance
    changed = decided & (found.argmax(axis=1) != expected.argmax(axis=1))
    if changed.any():
        raise ArtifactError(f"golden replay {where}: the class of {files[int(changed.argmax())]} changed")
    return float(differences[worst])
