"""ModelInfer: a message with tensors to a prediction, and the message that answers."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from app.admission.admission import ANY
from app.admission.options import PredictOptions
from app.admission.outputs import make_outputs
from app.admission.services import Services
from app.admission.tensors import InferRequest, read_request
from app.errors import BadTensor, InvalidParameter
from app.grpc.envelope import Call
from app.grpc.messages import Message, find_class
from artifact.card import ModelCard

_RESPONSE = find_class("ModelInferResponse")
# More than that isn't taken apart in the event loop.
_QUICK_BYTES = 262_144
# Where the protocol has the values of a datatype, outside raw_input_contents.
_CONTENTS = {"UINT8": "uint_contents", "BYTES": "bytes_contents"}


async def infer(services: Services, request: Message, call: Call) -> Message:
    """The ModelInferResponse to a ModelInferRequest, with raw contents. Raises as Admission.admit, `read_request`,
    Ticket.run and `make_outputs` do, and InvalidParameter.
    """
    options = PredictOptions(version=read_version(request.model_version))
    ticket = services.admission.admit(call.exchange, request.model_name or None, options, priority=ANY)
    read = partial(_read, request, ticket.model.card, services.settings.max_images)
    asked = read() if request.ByteSize() <= _QUICK_BYTES else await ticket.call(read)
    timeout_s = asked.limit(ticket.terms.timeout_s)
    remaining_s = call.remaining_s()
    if remaining_s is not None:
        timeout_s = min(timeout_s, remaining_s)
    results = await ticket.run(asked.rows, timeout_s, asked.priority, asked.embeds)
    outputs = make_outputs(ticket.model, asked.outputs, results)
    response = _RESPONSE(model_name=ticket.model.name, model_version=str(ticket.model.version), id=request.id)
    for output in outputs:
        response.outputs.add(name=output.name, datatype=output.datatype, shape=output.shape)
        response.raw_output_contents.append(output.write())
    return response


def read_version(text: str) -> int | None:
    """A version as messages have it: empty for the newest. Raises InvalidParameter."""
    if not text:
        return None
    if text.isascii() and text.isdecimal() and len(text) < 19 and int(text):
        return int(text)
    raise InvalidParameter(f"the version is {text[:40]!r}: give a whole number from 1, or leave it out for the newest")


def _read(request: Message, card: ModelCard, max_images: int) -> InferRequest:
    """By the reader of the protocol's JSON, with binary data behind it."""
    raw = request.raw_input_contents
    if len(raw) not in (0, len(request.inputs)):
        raise BadTensor(f"{len(raw)} raw contents for {len(request.inputs)} inputs: send one for each, or none")
    parsed = {
        "id": request.id,
        "parameters": _read_parameters(request.parameters),
        "inputs": [_read_input(tensor, raw[place] if raw else None) for place, tensor in enumerate(request.inputs)],
        "outputs": [
            {"name": output.name, "parameters": _read_parameters(output.parameters)} for output in request.outputs
        ],
    }
    return read_request(parsed, memoryview(raw[0] if raw else b""), card, max_images)


def _read_input(tensor: Message, raw: bytes | None) -> dict[str, Any]:
    parameters = _read_parameters(tensor.parameters)
    table = {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.shape), "parameters": parameters}
    if raw is not None:
        parameters["binary_data_size"] = len(raw)
    elif tensor.HasField("contents"):
        table["data"] = list(getattr(tensor.contents, _CONTENTS.get(tensor.datatype, "uint_contents")))
    return table


def _read_parameters(parameters: Mapping[str, Message]) -> dict[str, Any]:
    return {
        name: getattr(value, chosen) if (chosen := value.WhichOneof("choice")) else None
        for name, value in parameters.items()
    }
