"""The JSON of a prediction, written piece by piece: the labels' parts are ready made, only numbers are added.

A general encoder takes six times as long for the same bytes, and every endpoint has to give the same ones.
"""

from __future__ import annotations

from collections.abc import Sequence

from app.admission.feedback import Receipts
from app.admission.options import Terms
from app.http.bodies.json import encode_json
from app.inference.attempt import Prediction, Timing
from app.inference.labels import count_set, rank
from app.inference.model import LoadedModel
from app.observe.familiarity import explain_unfamiliar
from artifact.errors import ConvserveError


def write_answer(
    model: LoadedModel,
    results: Sequence[Prediction | ConvserveError],
    timing: Timing,
    terms: Terms,
    receipts: Receipts,
) -> bytes:
    """The body of PredictAnswer; with a conformal score each prediction has its label set, where asked for its receipt,
    and one of a cascade names the model that gave it.
    """
    predictions = ",".join([_write_result(model, result, terms, receipts) for result in results])
    text = (
        f'{{"model":"{model.name}","version":{model.version},"predictions":[{predictions}],"timing":{{'
        f'"decode_ms":{timing.decode_ms:.3f},"queue_ms":{timing.queue_ms:.3f},"infer_ms":{timing.infer_ms:.3f},'
        f'"batch_size":{timing.batch_size}}}}}'
    )
    return text.encode("utf-8", "backslashreplace")


def _write_result(model: LoadedModel, result: Prediction | ConvserveError, terms: Terms, receipts: Receipts) -> str:
    if isinstance(result, ConvserveError):
        error = {"status": result.status, "code": result.code, "detail": result.detail}
        return encode_json({"error": error}).decode()
    scores, score, speaks = result.scores, terms.score, ""
    if result.by is not None:
        model, score, is_alone = result.by
        speaks = f'"model":"{model.name}","version":{model.version},' + ('"second":"skipped",' if is_alone else "")
    text = f'{{{speaks}"classes":[{_write_classes(model, rank(scores, terms.top_k))}]'
    label_set: Sequence[tuple[int, float]] = ()
    if score is not None:
        label_set = rank(scores, count_set(scores, score))
        text += f',"set":[{_write_classes(model, label_set)}]'
    if terms.receipt:
        text += f',"receipt":"{receipts.sign(model, scores.top[0], [index for index, _ in label_set], terms.coverage)}"'
    if (warning := explain_unfamiliar(model.card, scores.energy)) is not None:
        text += f',"warning":{encode_json(warning).decode()}'
    return text + "}"


def _write_classes(model: LoadedModel, ranked: Sequence[tuple[int, float]]) -> str:
    prefixes = model.class_prefixes
    # Seven digits are all that a float32 holds. Without a type the format never gives a whole number.
    return ",".join([f"{prefixes[index]}{probability:.7}}}" for index, probability in ranked])
