"""The one table of image formats: what is decoded, what it is called, and which files look like images."""

from __future__ import annotations

from typing import NamedTuple


class Format(NamedTuple):
    """An image format, keyed by Pillow's name of it."""

    title: str
    media_type: str
    suffixes: tuple[str, ...]


FORMATS = {
    "JPEG": Format("JPEG", "image/jpeg", (".jpg", ".jpeg")),  # a phone's two-picture MPO opens as JPEG
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
