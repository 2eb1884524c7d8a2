"""Encoded images, as encoders write them and as strangers send them: segments, chunks and tags put in by hand."""

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image

RANDOM = np.random.default_rng(0)
GRAY = RANDOM.integers(1, 256, (28, 31), dtype=np.uint8)
COLOR = RANDOM.integers(1, 256, (30, 33, 3), dtype=np.uint8)


def encode(pixels: Any, kind: str, **options: Any) -> bytes:
    """A file of an array or a Pillow image, by Pillow."""
    buffer = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def tag(number: int, kind: int, value: bytes, count: int = 1) -> bytes:
    """An entry of a little-endian directory whose value stands in place."""
    return struct.pack("<HHI4s", number, kind, count, value)


def exif(*tags: bytes) -> bytes:
    """A little-endian EXIF block with its prefix, of entries as `tag` gives them."""
    return b"Exif\0\0II*\0" + struct.pack("<IH", 8, len(tags)) + b"".join(tags) + bytes(4)


def turned(value: int) -> bytes:
    return exif(tag(0x112, 3, struct.pack("<H", value)))


def segment(marker: int, body: bytes) -> bytes:
    """Of a JPEG."""
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def in_jpeg(jpeg: bytes, *segments: bytes) -> bytes:
    """A JPEG with more segments, in front of its others."""
    return jpeg[:2] + b"".join(segments) + jpeg[2:]


def chunk(kind: bytes, body: bytes, wrong: int = 0) -> bytes:
    """Of a PNG, with its checksum, or one that is `wrong`."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body) ^ wrong)


def in_png(png: bytes, *chunks: bytes) -> bytes:
    """A PNG with more chunks, behind its header."""
    return png[:33] + b"".join(chunks) + png[33:]


def riff(*chunks: tuple[bytes, bytes]) -> bytes:
    """A WebP of its chunks."""
    body = b"".join(kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) & 1) for kind, data in chunks)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def find_scans(jpeg: bytes) -> list[tuple[int, int]]:
    """Where each scan of a JPEG begins and ends."""
    place, found = 2, []
    while jpeg[place + 1] != 0xD9:
        end = place + 2 + int.from_bytes(jpeg[place + 2 : place + 4])
        if jpeg[place + 1] == 0xDA:
            while jpeg[end] != 0xFF or jpeg[end + 1] == 0 or 0xD0 <= jpeg[end + 1] <= 0xD7:
                end += 1
            found.append((place, end))
        place = end
    return found


def tiff(width: int, height: int, strips: list[bytes], *more: tuple[int, int], compression: int = 1) -> bytes:
    """A gray little-endian TIFF of strips of as many rows each; `more` are further tags and their number."""
    count, data = len(strips), b"".join(strips)
    sizes = [len(strip) for strip in strips]
    offsets = [8 + sum(sizes[:place]) for place in range(count)] if count < 1000 else [8] * count
    tables = struct.pack(f"<{count}I{count}I", *offsets, *sizes)
    first = 8 + len(data)
    places = (first, first + 4 * count) if count > 1 else (offsets[0], sizes[0])
    tags = {256: width, 257: height, 258: 8, 259: compression, 262: 1, 277: 1, 278: -(-height // count), **dict(more)}
    entries = [(number, 4, 1, value) for number, value in tags.items()]
    entries += [(273, 4, count, places[0]), (279, 4, count, places[1])]
    directory = b"".join(struct.pack("<HHII", *entry) for entry in sorted(entries))
    head = b"II*\0" + struct.pack("<I", first + len(tables))
    return head + data + tables + struct.pack("<H", len(entries)) + directory + bytes(4)
