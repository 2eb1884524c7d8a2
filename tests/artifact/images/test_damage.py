"""Pixels that are missing or damaged are refused by every decoder alike, and nothing but ConvserveError is raised."""

import contextlib
import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from artifact.errors import BadRequest, TooLarge, UndecodableImage, UnsupportedType
from artifact.image_policy import ImagePolicy
from artifact.images.decode import decode_image, open_image
from artifact.images.limits import Limits
from tests.makers.encoded import COLOR, GRAY, chunk, encode, find_scans, in_jpeg, segment, tiff, turned

SMOOTH = Image.fromarray(np.add.outer(np.arange(480), np.arange(640)).astype(np.uint8)).convert("RGB")
REDUCED = ImagePolicy(height=32, width=32, channels=3, fit="crop", reduced_decode=True)
NOISE = Image.fromarray(np.random.default_rng(1).integers(0, 256, (480, 640, 3), dtype=np.uint8))


def jpeg(image: Image.Image = NOISE, **options: object) -> bytes:
    return encode(image, "JPEG", **options)


def unusual(blocks: int = 84) -> bytes:
    """A JPEG of 24x96 by hand, of a sampling that turbojpeg has no name for: 1x3, 1x1, 1x3; 12 units of 7 blocks."""
    huffman = segment(0xC4, b"\0\1\1" + bytes(14) + b"\0\3") + segment(0xC4, b"\x10\1" + bytes(15) + b"\0")
    frame = segment(0xC0, struct.pack(">BHHB", 8, 96, 24, 3) + b"\1\x13\0\2\x11\0\3\x13\0")
    scan = segment(0xDA, b"\3\1\0\2\0\3\0\0\x3f\0")
    # Each block: a difference of 3 bits, up and down in turn, and its end.
    bits = "".join("101110" if block % 2 else "100000" for block in range(blocks))
    data = int(bits.ljust(-(-len(bits) // 8) * 8, "1"), 2).to_bytes(-(-len(bits) // 8))
    tables = segment(0xDB, b"\0" + b"\x08" * 64)
    return b"\xff\xd8" + tables + huffman + frame + scan + data.replace(b"\xff", b"\xff\0") + b"\xff\xd9"


JPEGS = {
    "plain": jpeg(),
    "gray": jpeg(NOISE.convert("L")),
    "turned": in_jpeg(jpeg(), segment(0xE1, turned(6))),
    "cmyk": jpeg(NOISE.convert("CMYK")),
    "progressive": jpeg(progressive=True),
    "restarts": jpeg(restart_marker_blocks=4),
}


def spoil(data: bytes, kind: str) -> bytes:
    scan, end = max(find_scans(data), key=lambda place: place[1] - place[0])
    half = (scan + end) // 2
    return {
        "second half zero": data[:half] + bytes(len(data) - half),
        "second half zero, then the end": data[:half] + bytes(len(data) - half - 2) + data[-2:],
        "cut": data[:half],
        "cut and ended": data[:half] + b"\xff\xd9",
        "without an end": data[:-2],
    }[kind]


@pytest.mark.parametrize(
    "damage",
    ["second half zero", "second half zero, then the end", "cut", "cut and ended", "without an end"],
)
@pytest.mark.parametrize("name", JPEGS)
def test_a_jpeg_that_is_half_gray_is_never_answered(name: str, damage: str) -> None:
    whole = JPEGS[name]
    assert open_image(whole).image.size in ((640, 480), (480, 640))
    for policy in (None, REDUCED):
        with pytest.raises(UndecodableImage, match="truncated or damaged"):
            open_image(spoil(whole, damage), policy=policy)


def test_an_unusual_sampling_is_decoded_as_pillow_does() -> None:
    np.testing.assert_array_equal(
        np.asarray(open_image(unusual()).image), np.asarray(Image.open(io.BytesIO(unusual())))
    )
    for ended in (b"\xff\x01", b"\xff\xc4\0\x02", b"\xff\xd9"):
        data = unusual(20)
        with pytest.raises(UndecodableImage, match="a scan ends early"):
            open_image(data[:-2] + ended + b"some more" + data[-2:])
    for blocks in (1, 20, 60):
        with pytest.raises(UndecodableImage, match="a scan ends early"):
            open_image(unusual(blocks))


def test_a_component_that_no_scan_holds_is_missing() -> None:
    whole = jpeg(progressive=True)
    first = find_scans(whole)[0]
    only = bytearray(whole[: first[0]] + whole[first[0] : first[1]] + b"\xff\xd9")
    only[first[0] + 4] = 1  # the scan names one component of three
    only[first[0] + 2 : first[0] + 4] = b"\0\x08"
    data = bytes(only[: first[0] + 7]) + bytes(only[first[0] + 11 :])
    with pytest.raises(UndecodableImage, match="2 of its 3 components are missing"):
        open_image(data)


def png(width: int, height: int, *chunks: bytes, color: int = 0, interlace: int = 0) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, color, 0, 0, interlace)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(chunks) + chunk(b"IEND", b"")


ROWS = b"".join(b"\0" + bytes([level]) * 200 for level in range(1, 201))


@pytest.mark.parametrize("interlace", [0, 1])
def test_rows_that_a_large_png_does_not_hold_are_missing(interlace: int) -> None:
    with pytest.raises(UndecodableImage, match=r"rows are missing|truncated"):
        open_image(png(200, 200, chunk(b"IDAT", zlib.compress(ROWS[: len(ROWS) // 2])), interlace=interlace))


@pytest.mark.parametrize("wide", [1, 3, 8, 200])
@pytest.mark.parametrize("interlaced", [False, True])
def test_black_rows_are_not_missing(wide: int, interlaced: bool) -> None:
    passes = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
    rows = b"".join(
        bytes(1 + len(range(left, wide, across))) * len(range(top, 100, down))
        for left, top, across, down in (passes if interlaced else ((0, 0, 1, 1),))
        if range(left, wide, across)
    )
    data = png(wide, 100, chunk(b"IDAT", zlib.compress(rows)), interlace=int(interlaced))
    assert not np.asarray(open_image(data).image).any()


@pytest.mark.parametrize("kind", [b"IHDR", b"IDAT", b"PLTE", b"tRNS"])
def test_a_wrong_checksum_of_pixels_is_damage_in_large_and_small(kind: bytes) -> None:
    for side in (8, 300):
        image = Image.fromarray(np.zeros((side, side), np.uint8)).convert("P")
        data = encode(image, "PNG", transparency=3)
        place = data.index(kind)
        end = place + 4 + int.from_bytes(data[place - 4 : place])
        with pytest.raises(UndecodableImage, match=kind.decode()):
            open_image(data[:end] + b"\1\2\3\4" + data[end + 4 :])


def bmp32(alpha: int) -> bytes:
    """Two pixels with a mask for the fourth byte, as Windows' clipboard writes them."""
    masks = struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    header = struct.pack("<IiiHHIIiiII", 108, 2, 1, 1, 32, 3, 8, 0, 0, 0, 0) + masks + bytes(52)
    pixels = bytes((10, 20, 30, alpha, 40, 50, 60, 0))
    return b"BM" + struct.pack("<IHHI", 122 + 8, 0, 0, 122) + header + pixels


def test_a_bmp_whose_alpha_is_nothing_everywhere_is_opaque() -> None:
    assert np.asarray(open_image(bmp32(0)).image).tolist() == [[[30, 20, 10], [60, 50, 40]]]
    assert np.asarray(open_image(bmp32(255)).image).tolist() == [[[30, 20, 10], [255, 255, 255]]]


def test_a_jpeg_in_a_tiff_has_the_same_verdict() -> None:
    whole = jpeg(NOISE.convert("L"))
    assert open_image(tiff(640, 480, [whole], compression=7)).image.size == (640, 480)
    with pytest.raises(UndecodableImage):
        open_image(tiff(640, 480, [spoil(whole, "cut and ended")], compression=7))


def test_a_gray_jpeg_with_alpha_in_a_tiff_is_decoded() -> None:
    image = Image.fromarray(GRAY).convert("LA")
    assert open_image(encode(image, "TIFF", compression="jpeg")).image.size == image.size


def test_a_jpeg_of_two_channels_is_refused_by_name() -> None:
    frame = segment(0xC0, struct.pack(">BHHB", 8, 8, 8, 2) + b"\1\x11\0\2\x11\0")
    with pytest.raises(UnsupportedType, match="2 channels"):
        open_image(b"\xff\xd8" + frame + segment(0xDA, b"\2\1\0\2\0\0\x3f\0") + b"\0\xff\xd9")


SMALL = [
    *(encode(COLOR, kind) for kind in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")),
    encode(COLOR, "JPEG", progressive=True, exif=turned(6)),
    encode(Image.fromarray(COLOR).convert("CMYK"), "JPEG"),
    encode(Image.fromarray(COLOR).convert("RGBA"), "PNG", exif=turned(3)),
    encode(Image.fromarray(GRAY).convert("1"), "PNG"),
    encode(COLOR, "WEBP", lossless=True, exif=turned(2)),
    encode(GRAY, "GIF", save_all=True, append_images=[Image.fromarray(255 - GRAY)]),
    encode(COLOR, "TIFF", compression="jpeg"),
    encode(COLOR, "TIFF", compression="tiff_lzw", tiffinfo={0x112: 7}),
    encode(COLOR, "TIFF", big_tiff=True),
    encode(COLOR, "AVIF", exif=turned(5)),
]
TIGHT = Limits(max_pixels=20_000, max_parts=500, max_scanned=1_000_000)
POLICY = ImagePolicy(height=8, width=8, channels=3, fit="crop", reduced_decode=True)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A small image, cut, overwritten, spliced with another, or with a part of it again and again."""
    data = bytearray(draw(st.sampled_from(SMALL)))
    for _ in range(draw(st.integers(1, 6))):
        place = draw(st.integers(0, len(data)))
        what = draw(st.integers(0, 5))
        if what == 0:
            data[place : place + 1] = draw(st.binary(max_size=4))
        elif what == 1:
            data[place : place + 4] = draw(st.sampled_from([b"\xff" * 4, bytes(4), b"\x7f\xff\xff\xff", b"\0\0\0\1"]))
        elif what == 2:
            del data[place:]
        elif what == 3:
            del data[place : place + draw(st.integers(1, 40))]
        elif what == 4:
            data[place:place] = data[place : place + draw(st.integers(1, 60))] * draw(st.integers(1, 30))
        else:
            other = draw(st.sampled_from(SMALL))
            data[place:] = other[min(place, len(other)) :]
    return bytes(data)


@settings(max_examples=400, deadline=None)
@given(mutated())
def test_mutated_images_are_answered_or_refused(data: bytes) -> None:
    with contextlib.suppress(BadRequest, TooLarge, UnsupportedType):
        assert decode_image(data, POLICY, TIGHT).shape == (8, 8, 3)
