"""The boxes of an AVIF (ISO/IEC 14496-12, 23008-12): counted, its EXIF hidden. Its orientation is a property of the
picture, which Pillow reads.
"""

from __future__ import annotations

import struct

from artifact.images.contents import Contents, check_parts, damaged
from artifact.images.limits import Limits

# The boxes that hold others, and how many bytes stand before these.
_HOLDERS = {
    **dict.fromkeys((b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"dinf", b"iprp", b"ipco"), 0),
    **dict.fromkeys((b"meta", b"iref"), 4),
}
# libavif looks for an item from the first one on, each time: items, and what may hold them, cost more than frames.
_ITEM, _FRAME = 20, 1
# Where the number of their entries stands, its width in versions up to 1 and in others, and what an entry costs.
_COUNTED = {b"iloc": (6, 2, 4, _ITEM), b"ipma": (4, 4, 4, _ITEM), b"stsz": (8, 4, 4, _FRAME)}
_MOST_DEPTH = 8


def read_avif(data: bytes, limits: Limits) -> Contents:
    """The contents of an AVIF file, without decoding it. Raises TooManyParts, UndecodableImage."""
    walk = _Walk(data, limits)
    walk.read(0, len(data), 0)
    found = bytearray(data)
    if data[8:12] != b"avis":
        found[8:12] = b"avif"  # the only major brand that Pillow is sure of
    for place in walk.exif:
        found[place : place + 4] = b"skip"
    return Contents("AVIF", bytes(found))


class _Walk:
    def __init__(self, data: bytes, limits: Limits) -> None:
        self.exif: list[int] = []
        """Where items say that they are EXIF."""
        self._data = data
        self._limits = limits
        self._parts = 0

    def read(self, place: int, stop: int, depth: int) -> None:
        while place + 8 <= stop:
            size, kind = struct.unpack_from(">I4s", self._data, place)
            start = place + 8
            if size == 1 and place + 16 <= stop:
                size, start = int.from_bytes(self._data[start : start + 8]), place + 16
            end = min(stop, place + size) if size else stop
            if end < start:
                raise damaged("AVIF", len(self._data), f"a box of {size} bytes")
            self._count(_ITEM)
            self._read_box(kind, start, end, depth)
            place = end

    def _read_box(self, kind: bytes, start: int, end: int, depth: int) -> None:
        data = self._data
        version = data[start] if start < end else 0
        if kind == b"iinf":
            self.read(start + (6 if version == 0 else 8), end, depth + 1)
        elif kind == b"infe" and version >= 2:
            place = start + (8 if version == 2 else 10)
            if data[place : place + 4] == b"Exif" and place + 4 <= end:
                self.exif.append(place)
        elif kind in _COUNTED:
            offset, short, long, cost = _COUNTED[kind]
            width = long if version > 1 else short
            self._count(cost * int.from_bytes(data[start + offset : start + offset + width]))
        elif kind in _HOLDERS and depth < _MOST_DEPTH:
            self.read(start + _HOLDERS[kind], end, depth + 1)

    def _count(self, parts: int) -> None:
        self._parts += parts
        check_parts(self._parts, f"frames, boxes and items (these count {_ITEM} times)", self._limits)
