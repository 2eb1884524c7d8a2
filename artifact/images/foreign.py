"""Names the type of bytes that aren't a supported image, and what the sender can do."""

from __future__ import annotations

import base64
import re

from artifact.errors import BadRequest, UndecodableImage, UnsupportedType
from artifact.images.formats import SUPPORTED, find_format, read_brands

_IN_JSON = 'send the bytes of the file, or {"images": ["<base64>"]} with Content-Type: application/json'
_HEIF = frozenset((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"mif2", b"msf1"))
# What files begin with, what they are called, and the remedy.
_BEGINNINGS: tuple[tuple[bytes, str, str], ...] = (
    (b"\xff\x0a", "JPEG XL images", "save it as PNG or JPEG"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL images", "save it as PNG or JPEG"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000 images", "save it as PNG or JPEG"),
    (b"\xff\x4f\xff\x51", "JPEG 2000 images", "save it as PNG or JPEG"),
    (b"II\xbc\x01", "JPEG XR images", "save it as PNG or JPEG"),
    (b"8BPS", "Photoshop documents", "save it as PNG"),
    (b"\0\0\1\0", "icons", "save it as PNG"),
    (b"v/1\x01", "OpenEXR images", "save it with 8 bits a channel, as PNG"),
    (b"qoif", "QOI images", "save it as PNG"),
    (b"%!PS", "PostScript documents", "save the page as PNG"),
    (b"\xc5\xd0\xd3\xc6", "PostScript documents", "save the page as PNG"),
    (b"PK\x03\x04", "ZIP archives", "send the images themselves"),
    (b"\x1f\x8b", "gzip files", "send the image itself, or name the Content-Encoding: gzip"),
    (b"\x93NUMPY", "NumPy arrays", "save it as PNG, or send a tensor as the v2 protocol has it"),
)
_NETPBM = re.compile(rb"P[1-7]\s")
_MARKUP = re.compile(rb"<(?:[a-z]+:)?(svg|html|head|body|!doctype\s+html)[\s>]", re.IGNORECASE)
_DATA_URL = re.compile(rb"\s*\"?\s*data:[^,]{0,200},", re.IGNORECASE)
_BASE64 = re.compile(rb"\s*[\"']?([A-Za-z0-9+/_-]{16,})")
_HEAD = 4096


def name_foreign(data: bytes) -> BadRequest | UnsupportedType:
    """The error for `data`, which are of no supported format."""
    head = data[:_HEAD]
    for beginning, what, remedy in _BEGINNINGS:
        if head.startswith(beginning):
            return _unsupported(what, remedy)
    if _NETPBM.match(head):
        return _unsupported("Netpbm images", "save it as PNG")
    return (
        _name_boxes(head)
        or _name_text(head)
        or _name_base64(head)
        or UndecodableImage(
            f"{len(data):,} bytes beginning {data[:8].hex(' ')} are not an image of a supported type: "
            f"send one of {SUPPORTED}"
        )
    )


def _unsupported(what: str, remedy: str) -> UnsupportedType:
    return UnsupportedType(f"{what} are not supported, only {SUPPORTED}: {remedy}")


def _name_boxes(head: bytes) -> UnsupportedType | None:
    """Files of the ISO family: by their brands (AVIF is a supported one)."""
    if head[4:8] != b"ftyp":
        return None
    if _HEIF & set(read_brands(head)):
        remedy = "save it as JPEG (on an iPhone: Settings, Camera, Formats, Most Compatible)"
        return _unsupported("HEIC images", remedy)
    return _unsupported("videos", "send a frame of it as PNG or JPEG")


def _name_text(head: bytes) -> BadRequest | UnsupportedType | None:
    """Markup and documents, in UTF-8 or UTF-16, behind a byte order mark, a prolog, comments."""
    text = _as_utf8(head).lstrip()
    if b"%PDF-" in text[:1024]:
        return _unsupported("PDF documents", "save the page as PNG")
    if text.startswith(b"<"):
        found = _MARKUP.search(text)
        if found is not None and found[1].lower() == b"svg":
            return _unsupported("SVG drawings", "save it as PNG")
        if found is not None:
            return _unsupported("HTML pages", "send the image that the page shows (was it a page with an error?)")
        return _unsupported("XML documents", "if it is an SVG drawing, save it as PNG")
    if text.startswith((b"{", b"[")):
        return UndecodableImage(f"this is JSON text, not an image: {_IN_JSON}")
    if text.startswith(b"--") and b"content-disposition:" in text.lower():
        return UndecodableImage(
            "this is a form, not an image: name its Content-Type: multipart/form-data; boundary=..."
        )
    return None


def _as_utf8(head: bytes) -> bytes:
    for mark, encoding in ((b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be")):
        if head.startswith(mark):
            return head[2:].decode(encoding, "ignore").encode("utf-8", "ignore")
    return head.removeprefix(b"\xef\xbb\xbf")


def _name_base64(head: bytes) -> BadRequest | None:
    if _DATA_URL.match(head):
        return UndecodableImage(f"this is a data: URL, not an image: {_IN_JSON}")
    match = _BASE64.match(head)
    if match is None:
        return None
    whole = match[1][: len(match[1]) & ~3].translate(bytes.maketrans(b"-_", b"+/"))
    format = find_format(base64.b64decode(whole))
    return UndecodableImage(f"this is base64 text of an image ({format}): {_IN_JSON}") if format else None
