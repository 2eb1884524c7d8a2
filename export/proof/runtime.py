"""The finished graph in ONNX Runtime on this CPU: sessions, runs in batches, and whether batches agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnxruntime

from artifact.images.frame import Pixels
from export.errors import ProofError, reason

BATCH_SIZES = (1, 7)

Session = onnxruntime.InferenceSession


@dataclass(frozen=True)
class GraphOutputs:
    """What the graph gives for n images."""

    probabilities: npt.NDArray[np.float32]  # [n, classes]
    energy: npt.NDArray[np.float32] | None  # [n]


def open_session(graph: bytes | str, threads: int = 0) -> onnxruntime.InferenceSession:
    """A CPU session over a serialized graph or a file. Raises ProofError where ONNX Runtime can't run it."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4  # what goes wrong is raised, too
    # As the server has it; and threads that spin between two runs would slow whatever is timed by turns with them.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions share no public class
        raise ProofError(f"ONNX Runtime can't run the graph: {reason(error)}") from error


def run_graph(session: onnxruntime.InferenceSession, pixels: Pixels, batch_size: int = 32) -> GraphOutputs:
    """The graph's probabilities and energy for uint8 [n, h, w, c], in batches."""
    names = [output.name for output in session.get_outputs() if output.name != "features"]
    parts = [
        session.run(names, {"image": pixels[start : start + batch_size]}) for start in range(0, len(pixels), batch_size)
    ]
    joined = {name: np.concatenate([part[i] for part in parts]) for i, name in enumerate(names)}
    return GraphOutputs(joined["probabilities"], joined.get("energy"))


def check_batches(session: onnxruntime.InferenceSession, pixels: Pixels, sizes: Sequence[int] = BATCH_SIZES) -> None:
    """Raise ProofError unless every batch size gives the same answers, within 1e-5, for the first rows of `pixels`,
    uint8 [n, h, w, c].
    """
    rows = pixels[: max(sizes)]
    whole = run_graph(session, rows, len(rows)).probabilities
    for size in sizes:
        apart = np.abs(run_graph(session, rows, size).probabilities - whole).max()
        if not apart <= 1e-5:
            raise ProofError(f"batches of {size} differ by {apart:.3g} from one batch of {len(rows)}")


def batch_sizes(fixed: int | None) -> tuple[int, ...]:
    """The batch sizes to try: 1 and 7, or 1 and the most that a graph with a fixed batch takes."""
    return BATCH_SIZES if fixed is None else tuple(sorted({1, fixed}))
