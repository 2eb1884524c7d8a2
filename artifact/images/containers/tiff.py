"""The first directory of a TIFF (6.0, or BigTIFF), written anew with the tags of pixels alone; the orientation."""

from __future__ import annotations

import struct
from typing import NamedTuple

from artifact.images.containers.jpeg import read_jpeg
from artifact.images.contents import Contents, check_parts, check_pixels, damaged
from artifact.images.limits import Limits
from artifact.images.metadata import ORIENTATION, find_orientation, whole_numbers

_XMP = 700
_STRIPS, _STRIP_SIZES, _TILES, _TILE_SIZES = 273, 279, 324, 325
_COMPRESSION, _TILE_WIDTH, _TILE_HEIGHT, _JPEG_TABLES = 259, 322, 323, 347
_UNCOMPRESSED, _JPEG = 1, 7
# Sizes, samples, compression, place and color. Of the orientation Pillow is not told: it would turn while it loads.
_PIXELS = frozenset(
    (254, 256, 257, 258, 259, 262, 266, 273, 277, 278, 279, 284, 292, 293, 317, 320, 322, 323, 324, 325, 332, 338, 339,
     347, 512, 513, 514, 515, 517, 518, 519, 520, 521, 529, 530, 531, 532)
)  # fmt: skip
_KIND_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}


class Layout(NamedTuple):
    """How the two kinds of TIFF write their directory."""

    length: str
    entry: str
    offset: str
    value_bytes: int
    first: int
    """Where the offset of the first directory stands."""


_CLASSIC, _BIG = Layout("H", "HHI4s", "I", 4, 4), Layout("Q", "HHQ8s", "Q", 8, 8)


class Tags:
    """A directory's entries: (kind, count, value or its offset), by tag; of two with the same tag the first."""

    def __init__(self, data: bytes, limits: Limits) -> None:
        self.data = data
        self.order = "<" if data[:2] == b"II" else ">"
        self.layout = _BIG if 43 in (data[2], data[3]) else _CLASSIC
        self.found: dict[int, tuple[int, int, bytes]] = {}
        layout, order = self.layout, self.order
        try:
            (start,) = struct.unpack_from(order + layout.offset, data, layout.first)
            (count,) = struct.unpack_from(order + layout.length, data, start)
            check_parts(count, "tags", limits)
            place = start + struct.calcsize(order + layout.length)
            for _ in range(count):
                tag, *entry = struct.unpack_from(order + layout.entry, data, place)
                self.found.setdefault(tag, tuple(entry))
                place += struct.calcsize(order + layout.entry)
        except (struct.error, OverflowError):
            raise damaged("TIFF", len(data), "it ends in its directory") from None

    def read(self, tag: int) -> bytes:
        """The bytes of a tag's value, as many as are there; none where it is missing."""
        kind, count, value = self.found.get(tag, (1, 0, b""))
        size = count * _KIND_BYTES.get(kind, 0)
        if size <= self.layout.value_bytes:
            return value[:size]
        (place,) = struct.unpack(self.order + self.layout.offset, value)
        return self.data[place : place + size]

    def numbers(self, tag: int) -> list[int]:
        """The values of a tag that holds whole numbers; empty where the tag is missing."""
        return whole_numbers(self.found.get(tag, (0, 0, b""))[0], self.read(tag), self.order)

    def number(self, tag: int) -> int | None:
        return next(iter(self.numbers(tag)), None)

    def write(self) -> bytes:
        """The same file with a directory that has only the tags of pixels, appended at its end."""
        layout, order = self.layout, self.order
        data = self.data + bytes(-len(self.data) % 8)
        kept = sorted((tag, entry) for tag, entry in self.found.items() if tag in _PIXELS)
        first = struct.pack(order + layout.offset, len(data))
        return b"".join(
            (
                data[: layout.first] + first + data[layout.first + len(first) :],
                struct.pack(order + layout.length, len(kept)),
                *(struct.pack(order + layout.entry, tag, *entry) for tag, entry in kept),
                bytes(layout.value_bytes),
            )
        )


def read_tiff(data: bytes, limits: Limits) -> Contents:
    """The contents of a TIFF file, without decoding it. Raises TooManyPixels, TooManyParts, UndecodableImage."""
    tags = Tags(data, limits)
    for tag in (_STRIPS, _STRIP_SIZES, _TILES, _TILE_SIZES):
        check_parts(tags.found.get(tag, (0, 0))[1], "strips and tiles", limits)
    check_pixels(tags.number(_TILE_WIDTH) or 0, tags.number(_TILE_HEIGHT) or 0, limits)  # whole tiles are decoded
    compression = tags.number(_COMPRESSION) or _UNCOMPRESSED
    sizes = tags.numbers(_STRIP_SIZES) + tags.numbers(_TILE_SIZES)
    if compression != _UNCOMPRESSED and sum(sizes) > len(data):
        raise damaged("TIFF", len(data), f"its strips or tiles have {sum(sizes):,} bytes")
    jpegs = _read_jpegs(tags, sizes, limits) if compression == _JPEG else ()
    return Contents("TIFF", tags.write(), find_orientation(tags.number(ORIENTATION), tags.read(_XMP)), inner=jpegs)


def _read_jpegs(tags: Tags, sizes: list[int], limits: Limits) -> tuple[Contents, ...]:
    """A strip or tile is a JPEG, without its tables where they stand once for all.

    Those of gray and alpha are counted, but nobody but libtiff can decode them.
    """
    tables = tags.read(_JPEG_TABLES)
    places = zip(tags.numbers(_STRIPS) + tags.numbers(_TILES), sizes, strict=False)
    strips = (tags.data[place : place + size] for place, size in places)
    jpegs = (read_jpeg(tables[:-2] + strip[2:] if tables else strip, limits) for strip in strips)
    return tuple(jpeg for jpeg in jpegs if jpeg.channels != 2)
