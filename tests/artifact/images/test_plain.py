"""The fast decoders give Pillow's pixels, and leave to Pillow whatever they might give others for."""

import io
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from artifact.images.plain import MOST_PNG_PIXELS, decode_plain, find_plain

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
    plain = find_plain(data)
    assert plain is not None
    pixels = decode_plain(data, plain)
    assert pixels is not None
    assert pixels.shape[:2] == (plain.height, plain.width)
    return pixels


def is_left_to_pillow(data: bytes) -> bool:
    plain = find_plain(data)
    return plain is None or decode_plain(data, plain) is None


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
    plain = [data for data in map(Path.read_bytes, photos) if find_plain(data)]
    assert len(plain) > len(photos) / 2
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


TRANSPARENT = Image.fromarray(GRAY)
LEFT = {
    "turned jpeg": encode(COLOR, "JPEG", exif=with_orientation(6)),
    "exif that is silent": encode(COLOR, "JPEG", exif=with_orientation(None)),
    "damaged exif": encode(COLOR, "JPEG", exif=b"Exif\0\0MM\0*\0\0\xff\xff"),
    "cmyk jpeg": encode(Image.fromarray(COLOR).convert("CMYK"), "JPEG"),
    "two pictures": encode(COLOR, "MPO", save_all=True, append_images=[Image.fromarray(COLOR)]),
    "turned png": encode(COLOR, "PNG", exif=with_orientation(6)),
    "png with a color that is transparent": encode(GRAY, "PNG", transparency=7),
    "png with alpha": encode(Image.fromarray(COLOR).convert("RGBA"), "PNG"),
    "palette": encode(Image.fromarray(COLOR).quantize(), "PNG"),
    "16 bits": encode(GRAY.astype(np.uint16), "PNG"),
    "1 bit": encode(Image.fromarray(GRAY).convert("1"), "PNG"),
    "animated png": encode(GRAY, "PNG", save_all=True, append_images=[Image.fromarray(255 - GRAY)]),
    "large png": encode(np.zeros((MOST_PNG_PIXELS // 128 + 1, 128), np.uint8), "PNG"),
    "webp": encode(COLOR, "WEBP"),
    "png with a wrong checksum": png(HEADER, DATA, END, crc=1),
    "png with an unknown chunk": png(HEADER, (b"abCd", b""), DATA, END),
    "png without pixels": png(HEADER, END),
    "png with too few pixels": png(HEADER, (b"IDAT", zlib.compress(b"\0\x10")), END),
    "png with a wrong filter": png(HEADER, (b"IDAT", zlib.compress(b"\x09\x10\x20")), END),
    "png of no width": png((b"IHDR", struct.pack(">IIBBBBB", 0, 1, 8, 0, 0, 0, 0)), DATA, END),
    "nothing": b"",
    "words": b"\xff\xd8\xff" + b"no picture at all" * 9,
}


@pytest.mark.parametrize("data", LEFT.values(), ids=LEFT.keys())
def test_what_is_not_plain_is_left_to_pillow(data: bytes) -> None:
    assert is_left_to_pillow(data)


def test_a_handmade_png_is_plain() -> None:
    assert decode(png(HEADER, DATA, END)).tolist() == [[0x10, 0x20]]


@pytest.mark.parametrize("data", [encode(GRAY, "PNG"), encode(COLOR, "JPEG"), encode(SMOOTH, "JPEG")], ids=len)
def test_a_truncated_image_is_left_to_pillow(data: bytes) -> None:
    for size in range(len(data) - 2):
        assert is_left_to_pillow(data[:size])


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_damaged_image_has_the_pixels_of_pillow_or_is_left_to_it(kind: str) -> None:
    whole = encode(COLOR, kind)
    for place in RANDOM.integers(0, len(whole), 500):
        data = bytearray(whole)
        data[place] ^= 1 << int(RANDOM.integers(8))
        if not is_left_to_pillow(bytes(data)):
            assert np.array_equal(decode(bytes(data)), read_with_pillow(bytes(data)))
