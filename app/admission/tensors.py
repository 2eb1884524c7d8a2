"""Tensors of the Open Inference Protocol v2, as JSON and as binary data, to rows of images.

https://github.com/kserve/open-inference-protocol and its binary tensor data extension (Triton's).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from app.errors import BadTensor, TooManyImages, too_many_images
from app.inference.decoder import Encoded
from artifact.card import ModelCard
from artifact.images.frame import Pixels

SHAPE = 'send {"inputs": [{"name": "image", "datatype": "UINT8" or "BYTES", "shape": [...], "data": [...]}]}'


@dataclass(frozen=True)
class WantedOutput:
    """One output as the client wants it: `classes` > 0 asks for that many labels instead of the tensor."""

    name: str
    binary: bool
    classes: int


@dataclass(frozen=True)
class InferRequest:
    """An inference request, read and checked against a model's card."""

    id: str | None
    """The client's own, which the answer repeats."""
    rows: list[Encoded | Pixels]
    """One image each: an encoded image (the file or its base64 text), or uint8 [height, width, channels] of the card's
    shape.
    """
    outputs: list[WantedOutput]
    """At least one, in the order in which they are answered."""
    timeout_us: int
    """Microseconds; 0 means none."""
    priority: int
    """1 to 3; as Triton has it, 0 and what is no priority mean the usual one."""

    @property
    def embeds(self) -> bool:
        """Whether it asks for embeddings."""
        return any(output.name == "embedding" for output in self.outputs)

    def limit(self, own_s: float) -> float:
        """Seconds that the request may take: those that it asks for, at most `own_s`, the server's own. Clients of
        other servers ask for what they like: here they may only shorten the deadline.
        """
        return min(self.timeout_us / 1e6 or own_s, own_s)


def read_request(parsed: Any, binary: memoryview, card: ModelCard, max_images: int) -> InferRequest:
    """An inference request, whose JSON is `parsed`; `binary` is what follows it.

    Raises BadTensor naming what is wrong, TooManyImages.
    """
    if not isinstance(parsed, dict):
        raise BadTensor(f"the JSON is not an object: {SHAPE}")
    parameters = _object(parsed, "parameters")
    image = _find_image(parsed)
    rows = _read_rows(image, binary, card, max_images)
    timeout = parameters.get("timeout", 0)
    if not _is_count(timeout):
        raise BadTensor(f"parameters.timeout is {str(timeout)[:40]!r}: give whole microseconds")
    request_id = parsed.get("id")
    if request_id is not None and not isinstance(request_id, str):
        raise BadTensor("id is not a string")
    priority = parameters.get("priority", 0)
    if not _is_count(priority):
        raise BadTensor(f"parameters.priority is {str(priority)[:40]!r}: give a whole number, 1 is the highest")
    return InferRequest(request_id, rows, _read_outputs(parsed, parameters, card), timeout, priority)


def check_length(header_length: str | None, size: int) -> int:
    """Bytes of the JSON part of a body of `size`, by the header Inference-Header-Content-Length. Raises BadTensor."""
    if header_length is None:
        return size
    if not (header_length.isascii() and header_length.isdecimal() and len(header_length) < 12):
        raise BadTensor(f"Inference-Header-Content-Length is {header_length[:40]!r}: give the bytes of the JSON part")
    if int(header_length) > size:
        raise BadTensor(f"Inference-Header-Content-Length is {header_length}, the body has {size:,} bytes")
    return int(header_length)


def _find_image(parsed: dict[str, Any]) -> dict[str, Any]:
    inputs = parsed.get("inputs")
    if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(inputs[0], dict):
        raise BadTensor(f"inputs must hold exactly one tensor: {SHAPE}")
    image: dict[str, Any] = inputs[0]
    if image.get("name") != "image":
        raise BadTensor(f"there is no input {str(image.get('name'))[:40]!r}, only 'image'")
    return image


def _read_rows(image: dict[str, Any], binary: memoryview, card: ModelCard, max_images: int) -> list[Encoded | Pixels]:
    shape, datatype, parameters = image.get("shape"), image.get("datatype"), _object(image, "parameters")
    if not isinstance(shape, list) or not all(_is_count(size) for size in shape):
        raise BadTensor(f"the shape of 'image' is {str(shape)[:60]}: give a list of whole numbers")
    if "shared_memory_region" in parameters:
        raise BadTensor("shared memory is not supported: send the tensor as JSON or binary data")
    size = parameters.get("binary_data_size")
    if size is not None and size != len(binary):
        raise BadTensor(f"binary_data_size of 'image' is {str(size)[:40]}, {len(binary):,} bytes follow the JSON")
    if size is None and len(binary):
        raise BadTensor(f"{len(binary):,} bytes follow the JSON, but 'image' has no binary_data_size")
    if size is None and "data" not in image:
        raise BadTensor("'image' has neither data nor binary data")
    if datatype == "BYTES":
        if not (len(shape) == 1 or (len(shape) == 2 and shape[1] == 1)):
            raise BadTensor(f"the shape of 'image' is {shape}: BYTES takes [n] or [n, 1], one encoded image each")
        count = _check_count(shape[0], max_images)
        return _check_rows(list(_split_bytes(binary, max_images)) if size is not None else _texts(image["data"]), count)
    if datatype == "UINT8":
        if tuple(shape[1:]) != card.image.shape or len(shape) != 4:
            wanted = ["n", *card.image.shape]
            raise BadTensor(f"the shape of 'image' is {shape}: UINT8 takes {wanted}, BYTES [n] with encoded images")
        count = _check_count(shape[0], max_images)
        pixels = (
            np.frombuffer(binary, np.uint8)
            if size is not None
            else _numbers(image["data"], "the data of 'image'").ravel()
        )
        if pixels.size != np.prod(shape):
            raise BadTensor(f"'image' of shape {shape} has {pixels.size:,} values instead of {np.prod(shape):,}")
        return list(pixels.reshape(count, *card.image.shape))
    raise BadTensor(f"the datatype of 'image' is {str(datatype)[:20]!r}: UINT8 (pixels) or BYTES (encoded images)")


def _read_outputs(parsed: dict[str, Any], parameters: dict[str, Any], card: ModelCard) -> list[WantedOutput]:
    there = ["probabilities", *(["energy"] if card.energy else []), *(["embedding"] if card.features else [])]
    by_default = parameters.get("binary_data_output") is True
    outputs = parsed.get("outputs")
    if outputs is None or outputs == []:
        return [WantedOutput("probabilities", by_default, 0)]  # the one that metadata and config name
    if not isinstance(outputs, list) or not all(isinstance(output, dict) for output in outputs):
        raise BadTensor("outputs must be a list of objects with a name")
    wanted = []
    for output in outputs:
        name, given = output.get("name"), _object(output, "parameters")
        if name not in there:
            raise BadTensor(f"there is no output {str(name)[:40]!r}, only {', '.join(there)}")
        if "shared_memory_region" in given:
            raise BadTensor("shared memory is not supported: take the output as JSON or binary data")
        classes = given.get("classification", 0)
        if not _is_count(classes) or classes > len(card.labels) or (classes and name != "probabilities"):
            raise BadTensor(
                f"classification of {name!r} is {str(classes)[:20]}: probabilities take 1 to {len(card.labels)}"
            )
        wanted.append(WantedOutput(name, given.get("binary_data", by_default) is True, classes))
    if len({output.name for output in wanted}) != len(wanted):
        raise BadTensor("an output is asked for twice")
    return wanted


def read_pixels(data: Any, card: ModelCard, what: str) -> list[Pixels]:
    """Nested lists [n, height, width, channels] of whole numbers, 0 to 255, as a list of n arrays, each uint8 [height,
    width, channels] of the card's shape. Raises BadTensor, which calls them `what`, for anything else.
    """
    found = _numbers(data, what)
    if found.ndim != 4 or found.shape[1:] != card.image.shape or not len(found):
        wanted = ["n", *card.image.shape]
        raise BadTensor(f"the shape of {what} is {list(found.shape)}: {card.name} takes {wanted}")
    return list(found)


def _numbers(data: Any, what: str) -> Pixels:
    """Flat or nested lists of whole numbers, 0 to 255."""
    try:
        found = np.asarray(data)
    except (ValueError, OverflowError) as error:
        raise BadTensor(f"{what} is not a regular tensor ({error})") from error
    if found.dtype.kind not in "iu" or (found.size and (found.min() < 0 or found.max() > 255)):
        raise BadTensor(
            f"{what} must be whole numbers from 0 to 255, the pixels as decoded: the graph does all scaling"
        )
    return found.astype(np.uint8)


def _texts(data: Any) -> list[Encoded]:
    """Base64 texts, [..] or [[.], ..]; bytes, which JSON can't hold, are the files themselves."""
    if isinstance(data, list) and data and all(isinstance(item, list) and len(item) == 1 for item in data):
        data = [item[0] for item in data]
    if not isinstance(data, list) or not all(isinstance(item, str | bytes) for item in data):
        raise BadTensor("the data of 'image' must be a list of strings, each the base64 of an encoded image")
    return data


def _split_bytes(binary: memoryview, most: int) -> Iterator[bytes]:
    place = 0
    for _ in range(most + 1):
        if place == len(binary):
            return
        if place + 4 > len(binary):
            raise BadTensor("the binary data of 'image' ends inside the length of an item")
        (length,) = struct.unpack_from("<I", binary, place)
        place += 4
        if place + length > len(binary):
            raise BadTensor(f"an item of 'image' declares {length:,} bytes, {len(binary) - place:,} are left")
        yield bytes(binary[place : place + length])
        place += length
    raise too_many_images(most)


def _check_rows(rows: Sequence[Encoded], count: int) -> list[Encoded | Pixels]:
    if len(rows) != count:
        raise BadTensor(f"'image' has {len(rows)} items, but its shape has {count}")
    return list(rows)


def _check_count(count: int, most: int) -> int:
    if count > most:
        raise _too_many(count, most)
    if not count:
        raise BadTensor("'image' has no rows: send at least one")
    return count


def _too_many(count: int, most: int) -> TooManyImages:
    return TooManyImages(f"'image' has {count} rows, the limit (max_images) is {most}: send fewer or raise the limit")


def _object(parent: dict[str, Any], key: str) -> dict[str, Any]:
    found = parent.get(key) or {}
    if not isinstance(found, dict):
        raise BadTensor(f"{key} is not an object")
    return found


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63
