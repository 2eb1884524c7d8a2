"""The three forms in which images arrive: the image itself, a form with files, or JSON with base64 texts."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple, Protocol

from starlette.requests import Request

from app.errors import BadJson, InvalidParameter, too_many_images
from app.http.bodies.content_type import FORM, JSON, OCTETS, holds_image, read_kind
from app.http.bodies.json import parse_json
from app.http.bodies.multipart import FormReader
from app.http.bodies.stream import image_limit, read_body, request_limit, stream_body
from app.inference.decoder import Encoded
from app.settings import Settings
from artifact.errors import EmptyBody, UnsupportedType

_SHAPE = 'send {"images": ["<base64>", ...]}'
# JSON of this form has a comma or two for each image, and two brackets.
_SPARE_MARKS = 64
# Pixels as nested numbers would be refused as too deep or too many: the beginning says what they are.
_NUMBERS = re.compile(rb'"images"\s*:\s*\[[\s\[]*[-\d]')
_NUMBERS_WITHIN = 4096


class Given(NamedTuple):
    """The content of a body."""

    images: list[Encoded]
    options: Mapping[str, Any] = {}
    """The options in the body, by name."""


class Parser(Protocol):
    """Parses long bodies off the event loop: a decoder, or an admitted request, which waits for its turn."""

    async def parse(self, body: bytes, parse: Callable[[bytes], Given]) -> Given:
        """The result of `parse(body)`; see Decoder.parse."""


async def read_images(request: Request, settings: Settings, parser: Parser, options: Collection[str]) -> Given:
    """The images of a request, one or more, still encoded, and those of `options` that stand beside them.

    Raises UnsupportedType for another type of body, EmptyBody, BadForm, BadJson, InvalidParameter for an unknown key
    of JSON, or TooLarge naming the limit.
    """
    content_type = request.headers.get("content-type", OCTETS)
    kind = read_kind(content_type)
    if holds_image(kind):
        return Given([await read_body(request, image_limit(settings))])
    if kind == FORM:
        form = FormReader(content_type, settings.max_images, settings.max_image_bytes, options)
        async for chunk in stream_body(request, request_limit(settings)):
            form.feed(chunk)
        given = Given([*form.finish()], form.options)
        return _check_any(given, "the form has no file: curl -F file=@image.jpg sends one")
    if kind == JSON:
        body = await read_body(request, request_limit(settings))
        given = await parser.parse(body, lambda body: parse_json_images(body, settings.max_images, options))
        return _check_any(given, f"the list of images is empty: {_SHAPE}")
    raise _unsupported(kind)


def parse_json_images(body: bytes, max_images: int, options: Collection[str]) -> Given:
    """The texts of {"images": [...]} and the options beside them.

    Raises BadJson, InvalidParameter for another key, and TooManyImages before it parses what can't be right.
    """
    if _NUMBERS.search(body, 0, _NUMBERS_WITHIN):
        raise BadJson(
            f"images has numbers, this endpoint takes encoded image files: {_SHAPE}; pixels go to "
            "/v2/models/MODEL/infer "
            "as a UINT8 tensor"
        )
    parsed = parse_json(
        body,
        _SHAPE,
        most_brackets=_SPARE_MARKS,
        most_commas=2 * max_images + _SPARE_MARKS,
        too_many=too_many_images(max_images),
    )
    images = parsed.get("images") if isinstance(parsed, dict) else None
    if not isinstance(images, list) or not all(isinstance(image, str) for image in images):
        raise BadJson(f"the JSON has no list of strings under the key images: {_SHAPE}")
    if len(images) > max_images:
        raise too_many_images(max_images)
    said = {name: value for name, value in parsed.items() if name != "images"}
    if unknown := sorted(said.keys() - set(options)):
        raise InvalidParameter(
            f"unknown key {unknown[0][:40]!r} next to images: known are {', '.join(sorted(options))}"
        )
    return Given(images, said)


def _check_any(given: Given, otherwise: str) -> Given:
    if not given.images:
        raise EmptyBody(otherwise)
    return given


def _unsupported(kind: str) -> UnsupportedType:
    if kind == "application/x-www-form-urlencoded":
        remedy = "curl --data-binary sends this type unless told otherwise: add -H 'Content-Type: image/jpeg'"
    else:
        remedy = "send image/* or application/octet-stream, multipart/form-data, or application/json"
    return UnsupportedType(f"Content-Type {kind[:80]!r} is not supported: {remedy}")
