"""The one table of image formats: what is decoded, what it is called, and which files look like images."""

from __future__ import annotations

from typing import NamedTuple


class Format(NamedTuple):
    """An image format, keyed by Pillow's name of it."""

    title: str
    media_type: str
    suffixes: tuple[str, ...]


FORMATS = {
    "JPEG": Format("JPEG", "image/jpeg", (".jpg", ".jpeg", ".jfif")),  # a phone's two-picture MPO opens as JPEG
    "PNG": Format("PNG", "image/png", (".png",)),
    "WEBP": Format("WebP", "image/webp", (".webp",)),
    "GIF": Format("GIF", "image/gif", (".gif",)),
    "BMP": Format("BMP", "image/bmp", (".bmp",)),
    "TIFF": Format("TIFF", "image/tiff", (".tif", ".tiff")),
    "AVIF": Format("AVIF", "image/avif", (".avif",)),
}

*_FIRST, _LAST = (format.title for format in FORMATS.values())
SUPPORTED = f"{', '.join(_FIRST)} and {_LAST}"
"""For people."""

MEDIA_TYPES = {suffix: format.media_type for format in FORMATS.values() for suffix in format.suffixes}
"""By the suffix of a file, lower case."""

IMAGE_SUFFIXES = tuple(MEDIA_TYPES)

_BEGINNINGS = {
    b"\x89PNG\r\n\x1a\n": "PNG",  # first: of small ones a microsecond counts
    b"\xff\xd8\xff": "JPEG",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",  # BigTIFF
    b"MM\0+": "TIFF",
    b"BM": "BMP",
}
_AVIF = frozenset((b"avif", b"avis"))


def find_format(data: bytes) -> str | None:
    """The key in FORMATS of what an image file begins with; None for any other file."""
    for beginning, format in _BEGINNINGS.items():
        if data.startswith(beginning):
            return format
    if data.startswith(b"RIFF"):
        return "WEBP" if data[8:12] == b"WEBP" else None
    if data[4:8] == b"ftyp":
        return "AVIF" if _AVIF & set(read_brands(data)) else None
    return None


def read_brands(data: bytes) -> list[bytes]:
    """The brands of a file of the ISO family (HEIC, AVIF, MP4), the major one first."""
    end = min(int.from_bytes(data[:4]), 4096)
    return [data[8:12], *(data[place : place + 4] for place in range(16, end - 3, 4))]
