"""The chunks of a WebP (RIFF): the first picture, the canvas that it lies on, the orientation."""

from __future__ import annotations

import struct

from artifact.images.contents import Contents, check_parts, check_pixels, damaged
from artifact.images.limits import Limits
from artifact.images.metadata import find_orientation, read_exif

_CHUNK = struct.Struct("<4sI")
_PICTURES = frozenset((b"VP8 ", b"VP8L", b"ANMF"))
_CANVAS, _ALPHA_AND_ANIMATION = b"VP8X", 0x12


def read_webp(data: bytes, limits: Limits) -> Contents:
    """The contents of a WebP file, without decoding it. Raises TooManyPixels, TooManyParts, UndecodableImage."""
    place, parts, kept, has_picture, exif, xmp = 12, 0, [b"WEBP"], False, b"", b""
    while place + 8 <= len(data):
        kind, length = _CHUNK.unpack_from(data, place)
        parts += 1
        check_parts(parts, "chunks", limits)
        start, end = place + 8, place + 8 + length
        if not has_picture and (kind in _PICTURES or kind in (_CANVAS, b"ALPH", b"ANIM")):
            if end > len(data):
                raise damaged("WebP", len(data), "it ends inside its picture")
            _check_size(kind, data[start : start + 16], limits)
            chunk = data[start:end]
            if kind == _CANVAS:
                chunk = bytes((chunk[0] & _ALPHA_AND_ANIMATION,)) + chunk[1:] if chunk else b""
            kept.append(_CHUNK.pack(kind, length) + chunk + b"\0" * (length & 1))
            has_picture = kind in _PICTURES
        elif kind == b"EXIF":
            exif = exif or data[start:end]
        elif kind == b"XMP ":
            xmp = xmp or data[start:end]
        place = end + (length & 1)
    if not has_picture:
        raise damaged("WebP", len(data), "it has no picture")
    body = b"".join(kept)
    return Contents("WEBP", b"RIFF" + struct.pack("<I", len(body)) + body, find_orientation(read_exif(exif), xmp))


def _check_size(kind: bytes, head: bytes, limits: Limits) -> None:
    """Before anything is opened: the decoder takes memory for the canvas at once."""
    if kind == _CANVAS:
        check_pixels(1 + int.from_bytes(head[4:7], "little"), 1 + int.from_bytes(head[7:10], "little"), limits)
    elif kind == b"VP8 ":
        width, height = int.from_bytes(head[6:8], "little"), int.from_bytes(head[8:10], "little")
        check_pixels(width & 0x3FFF, height & 0x3FFF, limits)
    elif kind == b"VP8L":
        bits = int.from_bytes(head[1:5], "little")
        check_pixels(1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF), limits)
