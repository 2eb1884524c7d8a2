"""Reads the orientation from metadata. Metadata that can't be read count as missing."""

from __future__ import annotations

import re
import struct

UPRIGHT = 1
ORIENTATION = 0x0112

_EXIF = b"Exif\0\0"
_ORDERS = {b"II": "<", b"MM": ">"}
_WHOLE_NUMBERS = {1: "B", 3: "H", 4: "I", 8: "h", 9: "i", 16: "Q"}
_IN_XMP = re.compile(rb"tiff:Orientation\s*(?:=\s*[\"']|>)\s*(\d)")
# It stands near the beginning of an XMP packet; some are many megabytes long.
_XMP_BYTES = 65_536


def find_orientation(stated: int | None, xmp: bytes = b"") -> int:
    """1..8: as EXIF or a TIFF's tag `stated` it or, where these are silent, as XMP does; 1 (upright) where all are, and
    for a value that doesn't exist.
    """
    if stated is None and (match := _IN_XMP.search(xmp, 0, _XMP_BYTES)):
        stated = int(match[1])
    return stated if stated is not None and 1 <= stated <= 8 else UPRIGHT


def read_exif(exif: bytes) -> int | None:
    """The orientation as EXIF states it, with or without its `Exif` prefix; None where it is silent or unreadable."""
    exif = exif.removeprefix(_EXIF)
    order = _ORDERS.get(exif[:2])
    if order is None:
        return None
    try:
        (start,) = struct.unpack_from(order + "I", exif, 4)
        (count,) = struct.unpack_from(order + "H", exif, start)
        for place in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind, values, value = struct.unpack_from(order + "HHI4s", exif, place)
            if tag == ORIENTATION:
                return next(iter(whole_numbers(kind, value, order) if values else ()), None)
    except struct.error:  # it ends before its time
        pass
    return None


def whole_numbers(kind: int, value: bytes, order: str) -> list[int]:
    """The values of a TIFF entry that holds whole numbers; none of another kind."""
    code = _WHOLE_NUMBERS.get(kind)
    if code is None:
        return []
    count = len(value) // struct.calcsize(order + code)
    return list(struct.unpack_from(f"{order}{count}{code}", value))
