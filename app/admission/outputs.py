"""Makes output tensors of the Open Inference Protocol v2 from predictions, for HTTP and gRPC alike."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from app.admission.tensors import WantedOutput
from app.errors import BadTensor
from app.inference.attempt import Prediction
from app.inference.labels import top_classes
from app.inference.model import LoadedModel
from artifact.errors import ConvserveError


class Output(NamedTuple):
    """One output tensor: float32 [rows, ...], or texts [rows, classes]."""

    name: str
    datatype: str
    shape: list[int]
    data: npt.NDArray[np.float32] | list[str]

    def write(self) -> bytes:
        """As binary data: numbers little-endian, texts each after its length (4 bytes, little-endian)."""
        if isinstance(self.data, np.ndarray):
            return self.data.tobytes()
        items = [text.encode() for text in self.data]
        return b"".join([struct.pack("<I", len(item)) + item for item in items])


def make_outputs(
    model: LoadedModel, wanted: Sequence[WantedOutput], results: Sequence[Prediction | ConvserveError]
) -> list[Output]:
    """The wanted outputs, in their order. A tensor has no place for an error: raises that of the first row that failed,
    naming the row; BadTensor for an output that the model that answered doesn't give.
    """
    predictions = []
    for row, result in enumerate(results):
        if isinstance(result, ConvserveError):
            result.detail = f"row {row}: {result.detail}"
            raise result
        predictions.append(result)
    return [_make_output(model, output, predictions) for output in wanted]


def _make_output(model: LoadedModel, wanted: WantedOutput, predictions: Sequence[Prediction]) -> Output:
    if wanted.classes:
        texts = [
            f"{entry.probability:f}:{entry.index}:{entry.label}"
            for prediction in predictions
            for entry in top_classes(model, prediction.scores, wanted.classes)
        ]
        return Output(wanted.name, "BYTES", [len(predictions), wanted.classes], texts)
    values = np.asarray([_READERS[wanted.name](prediction) for prediction in predictions], "<f4")
    return Output(wanted.name, "FP32", list(values.shape), values)


def _find_probabilities(prediction: Prediction) -> npt.NDArray[np.float32]:
    return prediction.scores.probabilities


def _find_embedding(prediction: Prediction) -> npt.NDArray[np.float32]:
    found = prediction.scores.embedding
    assert found is not None  # it was asked for
    return found


def _find_energy(prediction: Prediction) -> float:
    """Raises BadTensor where the model that answered, the second of a cascade, doesn't give it."""
    if prediction.scores.energy is None:
        raise BadTensor("the model that answered gives no energy: leave this output out")
    return prediction.scores.energy


_READERS: dict[str, Callable[[Prediction], npt.NDArray[np.float32] | float]] = {
    "probabilities": _find_probabilities,
    "energy": _find_energy,
    "embedding": _find_embedding,
}
