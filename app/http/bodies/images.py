"""The three forms in which images arrive: the image itself, a form with files, or JSON with base64 texts."""

from __future__ import annotations

from starlette.requests import Request

from app.errors import BadJson, too_many_images
from app.http.bodies.json import parse_json
from app.http.bodies.multipart import FormReader
from app.http.bodies.stream import image_limit, read_body, request_limit, stream_body
from app.inference.decoder import Decoder, Encoded
from app.settings import Settings
from artifact.errors import EmptyBody, UnsupportedType

_SHAPE = 'send {"images": ["<base64>", ...]}'
# JSON of this form has a comma or two for each image, and two brackets.
_SPARE_MARKS = 64


async def read_images(request: Request, settings: Settings, decoder: Decoder) -> list[Encoded]:
    """The images of a request, one or more, still encoded.

    Raises UnsupportedType for another type of body, EmptyBody, BadForm, BadJson, or TooLarge naming the limit.
    """
    content_type = request.headers.get("content-type", "application/octet-stream")
    kind = content_type.partition(";")[0].strip().lower()
    if kind.startswith("image/") or kind == "application/octet-stream":
        return [await read_body(request, image_limit(settings))]
    if kind == "multipart/form-data":
        form = FormReader(content_type, max_images=settings.max_images, max_image_bytes=settings.max_image_bytes)
        images: list[Encoded] = [*await form.read(stream_body(request, request_limit(settings)))]
        return _check_any(images, "the form holds no file: curl -F file=@image.jpg sends one")
    if kind == "application/json":
        body = await read_body(request, request_limit(settings))
        images = await decoder.call(lambda: parse_json_images(body, settings.max_images))
        return _check_any(images, f"the list of images is empty: {_SHAPE}")
    raise _unsupported(kind)


def parse_json_images(body: bytes, max_images: int) -> list[Encoded]:
    """The texts of {"images": [...]}.

    Raises BadJson, and TooManyImages before it parses what can't be right.
    """
    parsed = parse_json(
        body,
        _SHAPE,
        most_brackets=_SPARE_MARKS,
        most_commas=2 * max_images + _SPARE_MARKS,
        too_many=too_many_images(max_images),
    )
    images = parsed.get("images") if isinstance(parsed, dict) else None
    if not isinstance(images, list) or not all(isinstance(image, str) for image in images):
        raise BadJson(f"the JSON has no list of texts under the key images: {_SHAPE}")
    if len(images) > max_images:
        raise too_many_images(max_images)
    return images


def _check_any(images: list[Encoded], otherwise: str) -> list[Encoded]:
    if not images:
        raise EmptyBody(otherwise)
    return images


def _unsupported(kind: str) -> UnsupportedType:
    if kind == "application/x-www-form-urlencoded":
        remedy = "curl --data-binary sends this type unless told otherwise: add -H 'Content-Type: image/jpeg'"
    else:
        remedy = "send image/* or application/octet-stream, multipart/form-data, or application/json"
    return UnsupportedType(f"Content-Type {kind[:80]!r} is not supported: {remedy}")
