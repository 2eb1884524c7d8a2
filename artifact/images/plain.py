"""Plain images, decoded by libraries that do nothing else: JPEG by simplejpeg (libjpeg-turbo), small PNG by pyspng
(libspng), in a third to a tenth of Pillow's time.

Plain means: the pixels in the file are already what the image policy wants of them. Whatever asks for more (another
format, alpha, 16 bits, a palette, an orientation, several pictures) or isn't whole is left to Pillow, which also says
what is wrong with it. The pixels are Pillow's, bit for bit (tests/artifact/images/test_plain.py).
"""

from __future__ import annotations

import struct
import zlib
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pyspng
import simplejpeg
from PIL import Image

# libspng runs with the GIL held: a larger PNG would stop the event loop, and Pillow is nearly as fast there.
MOST_PNG_PIXELS = 128 * 128

_PNG = b"\x89PNG\r\n\x1a\n"
_HEADER = struct.Struct(">I4sIIBBBBB")
_CHUNK = struct.Struct(">I4s")
# Chunks that say nothing about pixels: sizes in print, texts without EXIF in them, times, color spaces (ignored here).
_HARMLESS = frozenset((b"IHDR", b"IDAT", b"IEND", b"pHYs", b"tIME", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"bKGD"))
_GRAY, _COLOR = 0, 2

_ORIENTATION = 0x0112
_JFIF, _EXIF, _ICC, _ADOBE, _COMMENT, _SCAN = 0xE0, 0xE1, 0xE2, 0xEE, 0xFE, 0xDA
_TABLES = frozenset((0xC4, 0xDB, 0xDD))  # Huffman and quantization tables, restart interval
_FRAMES = frozenset((0xC0, 0xC1, 0xC2))  # baseline, extended, progressive


class Plain(NamedTuple):
    """What the header of a plain image says."""

    kind: Literal["PNG", "JPEG"]
    width: int
    height: int
    channels: int
    """1 (gray) or 3."""


def find_plain(data: bytes) -> Plain | None:
    """What the header says of a plain image; None for any other. Never raises."""
    if data.startswith(b"\xff\xd8\xff"):
        return _read_jpeg(data)
    if data.startswith(_PNG):
        return _read_png(data)
    return None


def decode_plain(data: bytes, plain: Plain) -> npt.NDArray[np.uint8] | None:
    """uint8 [height, width] of a gray image, [height, width, 3] of another; None for a damaged one."""
    shape = (plain.height, plain.width) if plain.channels == 1 else (plain.height, plain.width, 3)
    try:
        if plain.kind == "PNG":
            pixels: npt.NDArray[np.uint8] = pyspng.load(data)
        else:
            color = "GRAY" if plain.channels == 1 else "RGB"
            pixels = simplejpeg.decode_jpeg(data, color)
    except (RuntimeError, ValueError):  # what pyspng and simplejpeg raise for whatever they can't decode
        return None
    return pixels.reshape(shape)


def _read_png(data: bytes) -> Plain | None:
    """8-bit gray or color, not interlaced, every chunk known and with the right checksum, which libspng skips."""
    try:
        length, kind, width, height, depth, color, compression, filtering, interlace = _HEADER.unpack_from(data, 8)
        if (length, kind, depth, compression, filtering, interlace) != (13, b"IHDR", 8, 0, 0, 0):
            return None
        if color not in (_GRAY, _COLOR) or not 0 < width * height <= MOST_PNG_PIXELS:
            return None
        place = 8
        while kind != b"IEND":
            length, kind = _CHUNK.unpack_from(data, place)
            end = place + 8 + length
            if kind not in _HARMLESS or zlib.crc32(data[place + 4 : end]) != int.from_bytes(data[end : end + 4]):
                return None
            place = end + 4
    except struct.error:  # it ends before its time
        return None
    return Plain("PNG", width, height, 1 if color == _GRAY else 3)


def _read_jpeg(data: bytes) -> Plain | None:
    """8-bit gray or three components, one picture, upright."""
    place, found = 2, None
    try:
        while True:
            start, marker, length = struct.unpack_from(">BBH", data, place)
            if start != 0xFF:
                return None
            if marker == _SCAN:
                return found
            if marker in _FRAMES:
                depth, height, width, components = struct.unpack_from(">BHHB", data, place + 4)
                if depth != 8 or components not in (1, 3) or not width or not height or found is not None:
                    return None
                found = Plain("JPEG", width, height, components)
            elif not (marker in _TABLES or _is_harmless(marker, data, place + 4, place + 2 + length)):
                return None
            place += 2 + length
    except struct.error:
        return None


def _is_harmless(marker: int, data: bytes, start: int, end: int) -> bool:
    """Whether a segment leaves the pixels as they are."""
    if marker == _EXIF:
        return data.startswith(b"Exif\0\0", start) and _is_upright(data[start:end])
    return marker in (_JFIF, _ADOBE, _COMMENT) or (marker == _ICC and data.startswith(b"ICC_PROFILE\0", start))


def _is_upright(segment: bytes) -> bool:
    """Whether EXIF says outright that nothing is to be turned; where it is silent, other metadata may."""
    exif = Image.Exif()
    try:
        exif.load(segment)
    except Exception:  # Pillow's parser raises errors of many kinds on damaged segments
        return False
    return bool(exif.get(_ORIENTATION) == 1)
