"""What is no supported image is named, with what to do about it."""

import base64
import json
import struct

import numpy as np
import pytest

from artifact.errors import ConvserveError, UndecodableImage, UnsupportedType
from artifact.image_policy import ImagePolicy
from artifact.images.decode import decode_small, open_image
from artifact.images.limits import Limits
from tests.makers.encoded import COLOR, encode


def boxed(major: bytes, *brands: bytes) -> bytes:
    return struct.pack(">I4s4sI", 16 + 4 * len(brands), b"ftyp", major, 0) + b"".join(brands) + bytes(64)


SVG = "<svg xmlns='http://www.w3.org/2000/svg'/>"
UNSUPPORTED = {
    **{f"HEIC {brand}": (boxed(brand.encode(), b"mif1"), "HEIC images.*save it as JPEG")
       for brand in ("heic", "heix", "heim", "heis", "hevc", "hevx", "hevm", "hevs", "mif1", "msf1")},
    "HEIC by a later brand": (boxed(b"mif1", b"miaf", b"heic"), "HEIC images"),
    "a video": (boxed(b"isom", b"mp41"), "videos.*a frame of it"),
    "JPEG XL": (b"\xff\x0a" + bytes(30), "JPEG XL images.*save it as PNG or JPEG"),
    "JPEG XL, boxed": (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(30), "JPEG XL images"),
    "JPEG 2000": (b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(30), "JPEG 2000 images"),
    "JPEG 2000, a stream": (b"\xff\x4f\xff\x51" + bytes(30), "JPEG 2000 images"),
    "SVG": (SVG.encode(), "SVG drawings.*save it as PNG"),
    "SVG with a mark": (b"\xef\xbb\xbf" + SVG.encode(), "SVG drawings"),
    "SVG in UTF-16": (SVG.encode("utf-16"), "SVG drawings"),
    "SVG with a prolog": (f'<?xml version="1.0"?>\n<!-- a > b -->\n<!DOCTYPE svg>{SVG}'.encode(), "SVG drawings"),
    "SVG with a prefix": (b"<svg:svg xmlns:svg='http://www.w3.org/2000/svg'/>", "SVG drawings"),
    "XML": (b"<?xml version='1.0'?><feed/>", "XML documents"),
    "HTML": (b"\n<!DOCTYPE html>\n<html>", "HTML pages"),
    "HTML without a type": (b"<HTML><body><svg></svg>", "HTML pages"),
    "PDF": (b"%PDF-1.7 ...", "PDF documents.*save the page as PNG"),
    "PDF behind a mark": (b"\xef\xbb\xbf\n%PDF-1.7", "PDF documents"),
    "PSD": (b"8BPS\0\1", "Photoshop documents"),
    "an icon": (b"\0\0\1\0\1\0", "icons"),
    "Netpbm": (b"P6\n2 2\n255\n" + bytes(12), "Netpbm images"),
    "ZIP": (b"PK\x03\x04" + bytes(30), "ZIP archives"),
    "gzip": (b"\x1f\x8b\x08" + bytes(30), "Content-Encoding: gzip"),
}  # fmt: skip
TEXT = base64.b64encode(encode(COLOR, "JPEG")).decode()
MISTAKEN = {
    "base64": (TEXT.encode(), "base64 text of an image .JPEG..*Content-Type: application/json"),
    "base64 in lines": (base64.encodebytes(encode(COLOR, "PNG")), "base64 text of an image .PNG."),
    "base64 in quotes": (json.dumps(TEXT).encode(), "base64 text of an image .JPEG."),
    "base64 for addresses": (base64.urlsafe_b64encode(encode(COLOR, "WEBP")), "base64 text of an image .WEBP."),
    "base64 of AVIF": (base64.b64encode(encode(COLOR, "AVIF")), "base64 text of an image .AVIF."),
    "a data: URL": (f"data:image/jpeg;base64,{TEXT}".encode(), "a data: URL.*send the bytes"),
    "a DATA: URL": (b'"DATA:image/png,', "a data: URL"),
    "JSON": (b'{"images": []}', "JSON text"),
    "a form": (b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n', "Content-Type: multipart/form-data"),
    "words": (b"hello, I am photo.jpg", "not an image of a supported type"),
    "a long word": (b"A" * 400, "not an image of a supported type"),
}


@pytest.mark.parametrize(("data", "says"), UNSUPPORTED.values(), ids=UNSUPPORTED.keys())
def test_an_unsupported_type_is_named_with_its_remedy(data: bytes, says: str) -> None:
    with pytest.raises(UnsupportedType, match=says) as refused:
        open_image(data)
    assert refused.value.status == 415
    assert decode_small(data, ImagePolicy(height=8, width=8, channels=1), Limits()) is None


@pytest.mark.parametrize(("data", "says"), MISTAKEN.values(), ids=MISTAKEN.keys())
def test_text_in_place_of_an_image_is_named(data: bytes, says: str) -> None:
    with pytest.raises(UndecodableImage, match=says):
        open_image(data)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 11, 12, 13, 20])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_the_first_bytes_of_an_image_are_refused(kind: str, size: int) -> None:
    with pytest.raises(ConvserveError):
        open_image(encode(COLOR, kind)[:size])


@pytest.mark.parametrize("major", [b"avif", b"mif1", b"miaf"])
def test_an_avif_is_one_by_any_of_its_brands(major: bytes) -> None:
    whole = encode(COLOR, "AVIF")
    data = whole[:8] + major + whole[12:]
    np.testing.assert_array_equal(open_image(data).image, open_image(whole).image)
