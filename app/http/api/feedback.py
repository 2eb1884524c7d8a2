"""POST /feedback: receipts of predictions come back with the true labels, and are counted."""

from __future__ import annotations

from typing import Any, NamedTuple

from fastapi import APIRouter, Depends, Request

from app.admission.feedback import Receipt, Receipts, count_feedback
from app.catalog.catalog import Catalog
from app.errors import BadJson, BadReceipt, InvalidParameter, RequestTooLarge
from app.http.auth import check_predict_key
from app.http.bodies.json import parse_json
from app.http.bodies.stream import read_body, request_limit
from app.http.openapi import describe_errors, describe_json
from app.http.schemas import ErrorAnswer, FeedbackAnswer, ToldAnswer
from app.http.services import ServicesDep
from app.observe.live_accuracy import Told
from artifact.errors import ConvserveError

router = APIRouter(tags=["predict"])

_SHAPE = 'send {"receipt": "...", "label": "..."}, or a list of such'
_MOST = 1000
# Commas and brackets: an entry's own, and those that labels have.
_MARKS_OF_ONE = 16
_ONE: dict[str, Any] = {
    "type": "object",
    "properties": {
        "receipt": {"type": "string", "description": "As a prediction brought it."},
        "label": {"type": "string", "description": "The true one, as the model's list of labels spells it."},
    },
    "required": ["receipt", "label"],
    "additionalProperties": False,
}
_BODY = describe_json(
    {
        "description": 'A receipt with the true label, `{"receipt": ..., "label": ...}`, or a list of such.',
        "oneOf": [_ONE, {"type": "array", "items": _ONE, "minItems": 1, "maxItems": _MOST}],
    }
)


class _Given(NamedTuple):
    """One entry of the body."""

    receipt: Receipt | ConvserveError
    """What it says, or why it is refused."""
    label: str


@router.post(
    "/feedback",
    operation_id="send_feedback",
    openapi_extra=_BODY,
    responses=describe_errors(400, 401, 404, 408, 413, 415, 422, 503),
    response_model_exclude_none=True,
    dependencies=[Depends(check_predict_key)],
)
async def take_feedback(request: Request, services: ServicesDep) -> FeedbackAnswer:
    """Count, for the version that gave each receipt, whether its answer was right; each time that it is sent. Of
    several, each is counted or refused by itself; where all are refused, the answer is the first one's error.
    """
    receipts = services.admission.receipts
    receipts.require_key()
    body = await read_body(request, request_limit(services.settings))
    given = await services.decoder.parse(body, lambda body: _read(body, receipts))
    told = [_count(services.catalog, entry) for entry in given]
    if all(isinstance(result, ConvserveError) for result in told):
        raise next(result for result in told if isinstance(result, ConvserveError))
    return FeedbackAnswer(feedback=[_describe(entry, result) for entry, result in zip(given, told, strict=True)])


def _read(body: bytes, receipts: Receipts) -> list[_Given]:
    """Every receipt, read. Raises BadJson, InvalidParameter or RequestTooLarge for a body of another form."""
    too_many = RequestTooLarge(f"the list has more than {_MOST:,} receipts, the limit: send fewer at once")
    marks = _MARKS_OF_ONE * _MOST
    parsed = parse_json(body, _SHAPE, most_brackets=marks, most_commas=marks, too_many=too_many)
    entries = parsed if isinstance(parsed, list) else [parsed]
    if len(entries) > _MOST:
        raise too_many
    if not entries:
        raise BadJson(f"the list of receipts is empty: {_SHAPE}")
    return [_read_entry(entry, receipts) for entry in entries]


def _read_entry(entry: Any, receipts: Receipts) -> _Given:
    if not isinstance(entry, dict):
        raise BadJson(f"the JSON has values that are not receipts: {_SHAPE}")
    if unknown := sorted(entry.keys() - _ONE["properties"].keys()):
        raise InvalidParameter(f"unknown key {unknown[0][:40]!r} next to a receipt: {_SHAPE}")
    for name in _ONE["required"]:
        if name not in entry:
            raise InvalidParameter(f"{name} is missing: {_SHAPE}")
        if not isinstance(entry[name], str):
            raise InvalidParameter(f"{name} is {str(entry[name])[:80]}, not a text: {_SHAPE}")
    try:
        return _Given(receipts.read(entry["receipt"]), entry["label"])
    except BadReceipt as error:
        return _Given(error, entry["label"])


def _count(catalog: Catalog, given: _Given) -> Told | ConvserveError:
    if isinstance(given.receipt, ConvserveError):
        return given.receipt
    try:
        return count_feedback(catalog, given.receipt, given.label)
    except ConvserveError as error:
        return error


def _describe(given: _Given, result: Told | ConvserveError) -> ToldAnswer:
    if isinstance(result, ConvserveError):
        error = ErrorAnswer(status=result.status, code=result.code, detail=result.detail)
        return ToldAnswer(error=error)
    assert isinstance(given.receipt, Receipt)
    in_set = None if result.coverage is None else result.holds
    return ToldAnswer(model=given.receipt.model, version=given.receipt.version, right=result.right, in_set=in_set)
