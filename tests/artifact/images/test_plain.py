"""The fast decoders give Pillow's pixels, and take nothing that they might give others for."""

import io
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from artifact.errors import ConvserveError, UndecodableImage
from artifact.images.decode import read_contents
from artifact.images.limits import Limits
from artifact.images.plain import SMALL_PIXELS, decode_plain, is_fast

RANDOM = np.random.default_rng(0)
GRAY = RANDOM.integers(0, 256, (28, 31), dtype=np.uint8)
COLOR = RANDOM.integers(0, 256, (30, 33, 3), dtype=np.uint8)
SMOOTH = np.add.outer(np.arange(40), 3 * np.arange(50)).astype(np.uint8)


def encode(pixels: Any, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def decode(data: bytes) -> np.ndarray:
    contents = read_contents(data, Limits())
    assert is_fast(contents)
    pixels = decode_plain(contents)
    assert pixels.shape[:2] == (contents.height, contents.width)
    return pixels


def read_with_pillow(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)))


def png(*chunks: tuple[bytes, bytes], crc: int = 0) -> bytes:
    written = [
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body) ^ crc)
        for kind, body in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(written)


HEADER = (b"IHDR", struct.pack(">IIBBBBB", 2, 1, 8, 0, 0, 0, 0))
DATA = (b"IDAT", zlib.compress(b"\0\x10\x20"))
END = (b"IEND", b"")


@pytest.mark.parametrize("pixels", [GRAY, COLOR, SMOOTH, GRAY[:1, :1], COLOR[:1]], ids=str)
@pytest.mark.parametrize("level", [0, 6, 9])
def test_a_png_has_the_pixels_of_pillow(pixels: np.ndarray, level: int) -> None:
    data = encode(pixels, "PNG", compress_level=level, dpi=(72, 72))
    assert np.array_equal(decode(data), pixels)


@pytest.mark.parametrize("pixels", [GRAY, COLOR, SMOOTH, COLOR[:1]], ids=str)
@pytest.mark.parametrize(
    "options",
    [
        {"quality": 30},
        {"quality": 100, "subsampling": 0},
        {"quality": 90, "subsampling": 1},
        {"quality": 80, "progressive": True},
        {"optimize": True, "comment": b"a comment", "icc_profile": b"x" * 300},
        {"restart_marker_blocks": 2},
    ],
    ids=str,
)
def test_a_jpeg_has_the_pixels_of_pillow(pixels: np.ndarray, options: dict[str, Any]) -> None:
    data = encode(pixels, "JPEG", **options)
    assert np.array_equal(decode(data), read_with_pillow(data))


@pytest.mark.data
@pytest.mark.skipif("CONVSERVE_DATA_DIR" not in os.environ, reason="the photos need CONVSERVE_DATA_DIR")
def test_photos_have_the_pixels_of_pillow() -> None:
    photos = sorted((Path(os.environ["CONVSERVE_DATA_DIR"]) / "photos").glob("*.JPEG"))
    plain = [data for data in map(Path.read_bytes, photos) if is_fast(read_contents(data, Limits()))]
    assert len(plain) == len(photos) == 50
    assert all(np.array_equal(decode(data), read_with_pillow(data)) for data in plain)


def with_orientation(value: int | None) -> bytes:
    exif = Image.Exif()
    exif[0x010F] = "maker"
    if value is not None:
        exif[0x0112] = value
    return exif.tobytes()


def test_an_upright_jpeg_with_exif_is_plain() -> None:
    data = encode(COLOR, "JPEG", exif=with_orientation(1))
    assert np.array_equal(decode(data), read_with_pillow(data))


OTHERS = {
    "turned jpeg": encode(COLOR, "JPEG", exif=with_orientation(6)),
    "cmyk jpeg": encode(Image.fromarray(COLOR).convert("CMYK"), "JPEG"),
    "turned png": encode(COLOR, "PNG", exif=with_orientation(6)),
    "png with a color that is transparent": encode(GRAY, "PNG", transparency=7),
    "png with alpha": encode(Image.fromarray(COLOR).convert("RGBA"), "PNG"),
    "palette": encode(Image.fromarray(COLOR).quantize(), "PNG"),
    "16 bits": encode(GRAY.astype(np.uint16), "PNG"),
    "1 bit": encode(Image.fromarray(GRAY).convert("1"), "PNG"),
    "large png": encode(np.zeros((SMALL_PIXELS // 128 + 1, 128), np.uint8), "PNG"),
    "webp": encode(COLOR, "WEBP"),
}


@pytest.mark.parametrize("data", OTHERS.values(), ids=OTHERS.keys())
def test_what_is_not_plain_is_left_to_others(data: bytes) -> None:
    assert not is_fast(read_contents(data, Limits()))


PLAIN = {
    "exif that is silent": (encode(COLOR, "JPEG", exif=with_orientation(None)), None),
    "damaged exif": (
        encode(COLOR, "JPEG", exif=b"Exif\0\0MM\0*\0\0\xff\xff"),
        read_with_pillow(encode(COLOR, "JPEG")),
    ),
    "two pictures": (encode(COLOR, "MPO", save_all=True, append_images=[Image.fromarray(GRAY)]), None),
    "animated png": (encode(GRAY, "PNG", save_all=True, append_images=[Image.fromarray(255 - GRAY)]), GRAY),
    "png with an unknown chunk": (png(HEADER, (b"abCd", b""), DATA, END), np.array([[0x10, 0x20]])),
    "png with a broken text": (png(HEADER, (b"zTXt", b"a\0\0b"), DATA, END), np.array([[0x10, 0x20]])),
    "png without an end": (png(HEADER, DATA), np.array([[0x10, 0x20]])),
    "png with junk behind it": (png(HEADER, DATA) + b"\0\0\0\x05....junk", np.array([[0x10, 0x20]])),
}


@pytest.mark.parametrize(("data", "pixels"), PLAIN.values(), ids=PLAIN.keys())
def test_metadata_leave_an_image_plain(data: bytes, pixels: np.ndarray | None) -> None:
    assert np.array_equal(decode(data), read_with_pillow(data) if pixels is None else pixels)


DAMAGED = {
    "png with a wrong checksum": png(HEADER, DATA, END, crc=1),
    "png without pixels": png(HEADER, END),
    "png with too few pixels": png(HEADER, (b"IDAT", zlib.compress(b"\0\x10")), END),
    "png with a wrong filter": png(HEADER, (b"IDAT", zlib.compress(b"\x09\x10\x20")), END),
    "png of no width": png((b"IHDR", struct.pack(">IIBBBBB", 0, 1, 8, 0, 0, 0, 0)), DATA, END),
    "png of Apple's kind": png(HEADER, (b"CgBI", b"\0\0\0\0"), DATA, END),
    "words": b"\xff\xd8\xff" + b"no picture at all" * 9,
}


@pytest.mark.parametrize("data", DAMAGED.values(), ids=DAMAGED.keys())
def test_a_damaged_image_is_refused(data: bytes) -> None:
    with pytest.raises(UndecodableImage):
        decode_plain(read_contents(data, Limits()))


def test_a_handmade_png_is_plain() -> None:
    assert decode(png(HEADER, DATA, END)).tolist() == [[0x10, 0x20]]


@pytest.mark.parametrize("data", [encode(GRAY, "PNG")[:-12], encode(COLOR, "JPEG"), encode(SMOOTH, "JPEG")], ids=len)
def test_a_truncated_image_is_refused(data: bytes) -> None:
    for size in range(1, len(data) - 2):
        with pytest.raises(ConvserveError):
            decode(data[:size])


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_damaged_image_has_the_pixels_of_pillow_or_is_refused(kind: str) -> None:
    whole, refused = encode(COLOR, kind), 0
    for place in RANDOM.integers(0, len(whole), 500):
        data = bytearray(whole)
        data[place] ^= 1 << int(RANDOM.integers(8))
        try:
            pixels = decode(bytes(data))
        except ConvserveError:
            refused += 1
            continue
        assert np.array_equal(pixels, read_with_pillow(read_contents(bytes(data), Limits()).data))
    assert 0 < refused < 500
