"""Metadata say how an image is turned, and never stand in the way of its pixels."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps

from artifact.image_policy import ImagePolicy
from artifact.images.decode import open_image
from tests.makers.encoded import COLOR, chunk, encode, exif, in_jpeg, in_png, riff, segment, tag, turned

JPEG, PNG, TIFF = encode(COLOR, "JPEG"), encode(COLOR, "PNG"), encode(COLOR, "TIFF")
WEBP = encode(COLOR, "WEBP", lossless=True)
XMP = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'


def pixels(data: bytes) -> np.ndarray:
    opened = open_image(data)
    assert (opened.width, opened.height) == opened.image.size
    return np.asarray(opened.image)


def as_shown(orientation: int) -> np.ndarray:
    image = Image.fromarray(COLOR)
    image.getexif()[0x112] = orientation
    return np.asarray(ImageOps.exif_transpose(image))


def with_orientation(kind: str, orientation: int) -> bytes:
    found = Image.Exif()
    found[0x112] = orientation
    options = {"lossless": True} if kind == "WEBP" else {}
    return encode(COLOR, kind, exif=found, **options)


@pytest.mark.parametrize("orientation", [1, 2, 3, 4, 5, 6, 7, 8, 0, 9, 300])
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_an_image_is_turned_once_and_a_value_that_does_not_exist_is_none(kind: str, orientation: int) -> None:
    expected = as_shown(orientation) if 1 <= orientation <= 8 else COLOR
    np.testing.assert_array_equal(pixels(with_orientation(kind, orientation)), expected)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_jpeg_is_turned_as_pillow_turns_it(orientation: int) -> None:
    data = in_jpeg(JPEG, segment(0xE1, turned(orientation)))
    upright = Image.fromarray(pixels(JPEG))
    upright.getexif()[0x112] = orientation
    np.testing.assert_array_equal(pixels(data), np.asarray(ImageOps.exif_transpose(upright)))


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_a_turned_tiff_has_the_size_of_its_decoded_image(compression: str) -> None:
    data = encode(COLOR, "TIFF", compression=compression, tiffinfo={0x112: 6, 270: "a text", 700: b"<xmp/>"})
    np.testing.assert_array_equal(pixels(data), as_shown(6))


def test_a_big_tiff_is_turned_too() -> None:
    np.testing.assert_array_equal(pixels(encode(COLOR, "TIFF", big_tiff=True, tiffinfo={0x112: 8})), as_shown(8))


def test_an_avif_is_turned_by_its_properties() -> None:
    upright, found = pixels(encode(COLOR, "AVIF", quality=100)), pixels(with_orientation("AVIF", 6))
    assert found.shape == as_shown(6).shape
    assert np.abs(found.astype(int) - np.rot90(upright, -1)).mean() < 16


def test_a_jpeg_that_is_decoded_smaller_is_turned_with_its_extent() -> None:
    data = encode(np.zeros((480, 640, 3), np.uint8), "JPEG", exif=turned(6))
    opened = open_image(data, policy=ImagePolicy(height=32, width=32, channels=3, fit="crop", reduced_decode=True))
    assert opened.image.size == (120, 160) == (opened.width, opened.height)


@pytest.mark.parametrize(
    ("data", "orientation"),
    [
        (in_jpeg(JPEG, segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + XMP)), 6),
        (in_jpeg(JPEG, segment(0xE1, turned(1)), segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + XMP)), 1),
        (in_png(PNG, chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP)), 6),
        (in_png(PNG, chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(
            b"\nexif\n      26\n" + turned(8).hex().encode() + b"\n"))), 8),
        (in_png(PNG, chunk(b"eXIf", turned(3)[6:], wrong=1)), 3),
        (riff((b"VP8X", b"\x08\0\0\0" + (32).to_bytes(3, "little") + (29).to_bytes(3, "little")),
              (b"VP8L", WEBP[20:]), (b"EXIF", turned(5))), 5),
        (in_jpeg(JPEG, segment(0xE1, exif(tag(0x112, 3, b"\6\0"), tag(0x100, 9, b"\xfb\xff\xff\xff")))), 6),
        (in_jpeg(JPEG, segment(0xE1, exif(tag(0x112, 4, b"\6\0\0\0")))), 6),
        (in_jpeg(JPEG, segment(0xE1, b"Exif\0\0MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1\0\6\0\0")), 6),
    ],
    ids=["xmp", "exif before xmp", "png xmp", "raw profile", "png exif of wrong checksum", "webp", "negative width",
         "a long", "big-endian"],
)  # fmt: skip
def test_the_orientation_is_found_wherever_it_stands(data: bytes, orientation: int) -> None:
    upright = Image.fromarray(pixels(JPEG)) if data.startswith(b"\xff\xd8") else Image.fromarray(COLOR)
    upright.getexif()[0x112] = orientation
    np.testing.assert_array_equal(pixels(data), np.asarray(ImageOps.exif_transpose(upright)))


IN_THE_WAY = {
    "exif of garbage": in_jpeg(JPEG, segment(0xE1, b"Exif\0\0\0\x08\0\2\1\x12\0\3" + b"\xff" * 30)),
    "exif that points outside": in_jpeg(JPEG, segment(0xE1, b"Exif\0\0II*\0\xff\xff\xff\xff")),
    "exif that is empty": in_jpeg(JPEG, segment(0xE1, b"Exif\0\0")),
    "an orientation of text": in_jpeg(JPEG, segment(0xE1, exif(tag(0x112, 2, b"6\0", 2)))),
    "no orientations": in_jpeg(JPEG, segment(0xE1, exif(tag(0x112, 3, b"\6", 0)))),
    "a profile in parts": in_jpeg(JPEG, *(segment(0xE2, b"ICC_PROFILE\0\1\3" + bytes(65_000)) for _ in range(30))),
    "a JFIF of version 7": in_jpeg(JPEG[:2] + JPEG[20:], segment(0xE0, b"JFIF\0\7\7\0\0\1\0\1\0\0")),
    "a short JFIF": in_jpeg(JPEG[:2] + JPEG[20:], segment(0xE0, b"JFIF\0\1")),
    "a thumbnail": in_jpeg(JPEG, segment(0xE2, JPEG)),
    "a broken photoshop block": in_jpeg(JPEG, segment(0xED, b"Photoshop 3.0\x008BIM\3\xed\xff\xff")),
    "bytes that fill up": JPEG[:2] + b"\xff\xff\xff" + JPEG[2:],
    "junk between segments": JPEG[:20] + b"\0\0\0\0" + JPEG[20:],
    "junk at the end": JPEG + bytes(1000),
    "padding": JPEG[:-2] + bytes(5) + JPEG[-2:],
    "a text of 2 MB": in_png(PNG, chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(b"<rdf/>" * 300_000))),
    "a profile of 9 MB": in_png(PNG, chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(9_000_000)))),
    "a text with a wrong checksum": in_png(PNG, chunk(b"tEXt", b"a\0b", wrong=1)),
    "a short pHYs": in_png(PNG, chunk(b"pHYs", b"\0\0")),
    "a short cHRM": in_png(PNG, chunk(b"cHRM", b"\0\0")),
    "a short gAMA": in_png(PNG, chunk(b"gAMA", b"\0")),
    "a profile without a name": in_png(PNG, chunk(b"iCCP", b"")),
    "a raw profile that is none": in_png(PNG, chunk(b"tEXt", b"Raw profile type exif\0\n\n\nxyz")),
    "an animation that is none": in_png(PNG, chunk(b"acTL", b"\0"), chunk(b"fcTL", b"\0")),
    "a transparency that is too short": in_png(PNG, chunk(b"tRNS", b"\0")),
    "a palette that nobody needs": in_png(PNG, chunk(b"PLTE", b"\0" * 7)),
    "texts behind the pixels": PNG[:-12] + chunk(b"zTXt", b"a\0\0b", wrong=1) + PNG[-12:],
    "nothing behind the pixels": PNG[:-12],
    "webp exif of garbage": riff(
        (b"VP8X", b"\x0c\0\0\0" + (32).to_bytes(3, "little") + (29).to_bytes(3, "little")),
        *((b"VP8L", WEBP[20:]), (b"EXIF", b"garbage"), (b"XMP ", b"\xff"), (b"????", b"")),
    ),
    "tiff tags of garbage": encode(COLOR, "TIFF", tiffinfo={33432: "c", 34675: b"no profile", 34377: b"8BIM"}),
}  # fmt: skip


@pytest.mark.parametrize("data", IN_THE_WAY.values(), ids=IN_THE_WAY.keys())
def test_metadata_are_never_in_the_way_of_pixels(data: bytes) -> None:
    np.testing.assert_array_equal(pixels(data), pixels(JPEG) if data.startswith(b"\xff\xd8") else COLOR)


def test_a_tiff_whose_other_tags_point_outside_is_decoded() -> None:
    (start,) = struct.unpack_from("<I", TIFF, 4)
    (count,) = struct.unpack_from("<H", TIFF, start)
    entries = (
        TIFF[start + 2 : start + 2 + 12 * count] + tag(34665, 4, b"\xff" * 4) + tag(34675, 7, b"\xff" * 4, 1 << 31)
    )
    data = TIFF[:4] + struct.pack("<I", len(TIFF)) + TIFF[8:] + struct.pack("<H", count + 2) + entries + bytes(4)
    np.testing.assert_array_equal(pixels(data), COLOR)


def test_an_avif_with_damaged_exif_is_decoded() -> None:
    whole = encode(COLOR, "AVIF", exif=exif(tag(0x10F, 2, b"abc\0", 4)))
    data = whole.replace(b"II*\0", b"\xff\xff\xff\xff")
    assert data != whole
    np.testing.assert_array_equal(pixels(data), pixels(whole))


def test_sequential_scan_parameters_that_a_camera_invents_are_passed_over() -> None:
    scan = JPEG.index(b"\xff\xda")
    end = scan + 2 + int.from_bytes(JPEG[scan + 2 : scan + 4])
    np.testing.assert_array_equal(pixels(JPEG[: end - 3] + bytes(3) + JPEG[end:]), pixels(JPEG))


def test_an_adobe_transform_that_does_not_exist_is_the_usual_one() -> None:
    data = in_jpeg(JPEG[:2] + JPEG[20:], segment(0xEE, b"Adobe\0\x64\0\0\0\0\7"))
    np.testing.assert_array_equal(pixels(data), pixels(JPEG))
