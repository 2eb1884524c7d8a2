"""Golden replay: the artifact's own images through this decoder, device and build, against what the
exported graph gave.

A hash finds a damaged file; the replay finds what a hash can't: a wrong build, device or option.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from app.inference.session import OnnxSession
from artifact.card import ModelCard
from artifact.errors import ArtifactError, ConvserveError
from artifact.golden import read_golden
from artifact.images.decode import decode_image
from artifact.images.frame import Pixels


def replay(folder: Path, card: ModelCard, session: OnnxSession) -> float:
    """Run the golden images in batches and row by row; the largest difference found, in units of probability.

    Raises ArtifactError where a probability isn't finite, departs by more than the card's tolerance for
    this kind of device, or changes the top class although the golden margin exceeds that tolerance.
    """
    golden = read_golden(folder, card)
    files, expected = list(golden.images), golden.graph
    try:
        rows = [decode_image(image, card.image) for image in golden.images.values()]
    except ConvserveError as error:
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
            f"golden replay {where}: {files[worst]} differs by {differences[worst]:.2g} from the exported "
            "graph, "
            f"the tolerance is {tolerance:g}"
        )
    top = np.sort(expected, axis=1)
    decided = top[:, -1] - top[:, -2] > tolerance
    changed = decided & (found.argmax(axis=1) != expected.argmax(axis=1))
    if changed.any():
        raise ArtifactError(f"golden replay {where}: the class of {files[int(changed.argmax())]} changed")
    return float(differences[worst])
