"""The chunks of a PNG (W3C PNG, third edition): those that make pixels, checked and kept, and the orientation."""

from __future__ import annotations

import binascii
import struct
import zlib

from artifact.errors import UndecodableImage
from artifact.images.contents import Contents, check_parts, check_pixels, damaged
from artifact.images.limits import Limits
from artifact.images.metadata import UPRIGHT, find_orientation, read_exif

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEADER = struct.Struct(">I4sIIBBBBB")
_CHUNK = struct.Struct(">I4s")
_CHECKSUM = struct.Struct(">I")
_END = b"\0\0\0\0IEND\xaeB`\x82"
_PIXELS = frozenset((b"IHDR", b"tRNS", b"IDAT"))
_TEXTS = frozenset((b"tEXt", b"zTXt", b"iTXt"))
_XMP, _RAW_EXIF = b"XML:com.adobe.xmp", b"Raw profile type exif"
# Samples a pixel, by color type.
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_PALETTE = 3
# The bytes that tRNS has at least, by the color types that may have one.
_TRANSPARENCY = {0: 2, 2: 6, _PALETTE: 1}
# How much of a text is inflated to find an orientation in it.
_TEXT_BYTES = 65_536
# First column and row, and their steps, of the passes of an interlaced image.
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def read_png(data: bytes, limits: Limits) -> Contents:
    """The contents of a PNG file, without decoding it. Raises TooManyPixels, TooManyParts, UndecodableImage: for a
    wrong checksum too, where pixels are in the chunk.
    """
    try:
        length, kind, width, height, depth, color, compression, filtering, interlace = _HEADER.unpack_from(data, 8)
    except struct.error:
        raise damaged("PNG", len(data), "it ends in its header") from None
    if (length, kind, compression, filtering) != (13, b"IHDR", 0, 0) or color not in _SAMPLES or not width * height:
        raise damaged("PNG", len(data), "its header is not valid")
    check_pixels(width, height, limits)
    size, place, run, parts, has_data, is_transparent = len(data), 8, 0, 0, False, False
    kept: list[bytes] = []  # what stands before `run`, where everything that stays begins that isn't in here
    exif, most = b"", limits.max_parts
    texts: dict[bytes, bytes] = {}
    while place + 8 <= size:
        length, kind = _CHUNK.unpack_from(data, place)
        end = place + 12 + length
        parts += 1
        if parts > most:
            check_parts(parts, "chunks", limits)
        if kind in _PIXELS or (kind == b"PLTE" and color == _PALETTE):
            if end > size or (zlib.crc32(data[place + 4 : end - 4]),) != _CHECKSUM.unpack_from(data, end - 4):
                raise damaged("PNG", size, f"its chunk {kind.decode()} ends early or has a wrong checksum")
            if kind == b"IDAT":
                has_data = True
            if kind != b"tRNS" or (not has_data and length >= _TRANSPARENCY.get(color, length + 1)):
                is_transparent = is_transparent or kind == b"tRNS"
                place = end
                continue
        elif kind == b"IEND":
            break
        elif kind == b"eXIf":
            exif = exif or data[place + 8 : end - 4]
        elif kind in _TEXTS:
            keyword = next((known for known in (_XMP, _RAW_EXIF) if data.startswith(known + b"\0", place + 8)), b"")
            if keyword and keyword not in texts:  # the first of each: more would be inflated for nothing
                texts[keyword] = _read_text(kind, data[place + 8 + len(keyword) + 1 : end - 4])
        elif not kind.isalpha() or (kind[:1].isupper() and kind != b"PLTE"):
            if has_data:
                break  # junk behind the pixels
            raise UndecodableImage(
                f"the PNG has a critical chunk {kind!r} that is not known: it is damaged, or Apple's own kind of PNG: "
                "save it as a standard PNG"
            )
        kept.append(data[run:place])
        run = place = end
    if not has_data:
        raise damaged("PNG", len(data), "it ends before its pixels")
    orientation = _find_orientation(exif, texts) if exif or texts else UPRIGHT
    is_whole = not kept and data.startswith(_END, place)
    clean = data if is_whole else b"".join((*kept, data[run:place], _END))
    is_plain = color in (0, 2) and depth == 8 and not interlace and not is_transparent and orientation == UPRIGHT
    return Contents("PNG", clean, orientation, width, height, _SAMPLES[color], 1, is_plain)


def holds_every_row(data: bytes) -> bool:
    """Whether what a PNG (as `read_png` gives it) inflates to is as long as its header says. Inflates no more."""
    width, height, depth, color, _, _, interlace = struct.unpack_from(">IIBBBBB", data, 16)
    bits = depth * _SAMPLES[color]
    missing = 0
    for left, top, across, down in _PASSES if interlace else ((0, 0, 1, 1),):
        columns, rows = -(-(width - left) // across), -(-(height - top) // down)
        missing += rows * (1 + (columns * bits + 7) // 8) if columns > 0 and rows > 0 else 0
    inflater, place = zlib.decompressobj(), 8
    while missing > 0:
        length, kind = _CHUNK.unpack_from(data, place)
        if kind == b"IEND":
            return False
        waiting = data[place + 8 : place + 8 + length] if kind == b"IDAT" else b""
        while waiting and missing > 0:
            missing -= len(inflater.decompress(waiting, _TEXT_BYTES))
            waiting = inflater.unconsumed_tail
        place += 12 + length
    return True


def _find_orientation(exif: bytes, texts: dict[bytes, bytes]) -> int:
    exif = exif or _read_hex(texts.get(_RAW_EXIF, b""))
    return find_orientation(read_exif(exif), texts.get(_XMP, b""))


def _read_text(kind: bytes, text: bytes) -> bytes:
    """What stands behind the keyword, inflated, as much as is needed of it; nothing where it can't be read."""
    is_deflated = kind == b"zTXt"
    if kind == b"iTXt":
        is_deflated = text[:1] == b"\1"
        text = text[2:].partition(b"\0")[2].partition(b"\0")[2]
    elif is_deflated:
        text = text[1:]
    if not is_deflated:
        return text
    try:
        return zlib.decompressobj().decompress(text, _TEXT_BYTES)
    except zlib.error:
        return b""


def _read_hex(text: bytes) -> bytes:
    """ImageMagick's raw profile: a line with its name, one with its length, then hexadecimal lines."""
    digits = b"".join(text.split(b"\n")[3:])
    try:
        return binascii.unhexlify(digits[: len(digits) & ~1])
    except binascii.Error:
        return b""
