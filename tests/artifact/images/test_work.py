"""Work that is neither bytes nor pixels is counted before anything is decoded, and what is accepted stays within it."""

import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from artifact.errors import TooManyParts, TooManyPixels, UndecodableImage
from artifact.image_policy import ImagePolicy
from artifact.images.containers.jpeg import LEAST_SCANNED
from artifact.images.decode import decode_small, open_image, read_contents
from artifact.images.limits import Limits
from tests.makers.encoded import COLOR, GRAY, chunk, encode, find_scans, in_jpeg, in_png, riff, segment, tiff

JPEG, PNG, GIF, AVIF = encode(COLOR, "JPEG"), encode(COLOR, "PNG"), encode(GRAY, "GIF"), encode(COLOR, "AVIF")
WEBP = encode(COLOR, "WEBP", lossless=True)
CANVAS = (b"VP8X", b"\0\0\0\0" + (32).to_bytes(3, "little") + (29).to_bytes(3, "little"))
PROGRESSIVE = encode(COLOR, "JPEG", progressive=True)


def with_items(count: int) -> bytes:
    """An AVIF whose table of places claims `count` items more than there are."""
    place = AVIF.index(b"iloc") + 4
    return AVIF[: place + 6] + struct.pack(">H", count) + AVIF[place + 8 :]


PARTS: dict[str, Callable[[int], bytes]] = {
    "JPEG comments": lambda count: in_jpeg(JPEG, segment(0xFE, b"") * count),
    "JPEG application segments": lambda count: in_jpeg(JPEG, segment(0xE5, b"abc") * count),
    "JPEG EXIF": lambda count: in_jpeg(JPEG, segment(0xE1, b"Exif\0\0") * count),
    "JPEG junk": lambda count: JPEG[:20] + (b"\0" + segment(0xFE, b"")) * count + JPEG[20:],
    "JPEG tables": lambda count: in_jpeg(JPEG, segment(0xDD, b"\0\0") * count),
    "JPEG comments between scans": lambda count: (
        PROGRESSIVE[: find_scans(PROGRESSIVE)[0][1]]
        + segment(0xFE, b"") * count
        + PROGRESSIVE[find_scans(PROGRESSIVE)[0][1] :]
    ),
    "PNG texts": lambda count: in_png(PNG, chunk(b"tEXt", b"a\0b") * count),
    "PNG data": lambda count: PNG[:-12] + chunk(b"IDAT", b"") * count + PNG[-12:],
    "PNG frames": lambda count: PNG[:-12] + chunk(b"fcTL", bytes(26)) * count + PNG[-12:],
    "GIF comments": lambda count: GIF[:781] + b"!\xfe\1a\0" * count + GIF[781:],
    "GIF empty extensions": lambda count: GIF[:781] + b"!\xfe\0" * count + GIF[781:],
    "GIF blocks": lambda count: GIF[:781] + b"!\xfe" + b"\1a" * count + b"\0" + GIF[781:],
    "WebP chunks": lambda count: riff(CANVAS, (b"VP8L", WEBP[20:]), *[(b"abcd", b"")] * count),
    "TIFF strips": lambda count: tiff(3, count, [b"abc"] * count),
    "AVIF boxes": lambda count: AVIF + struct.pack(">I4s", 8, b"free") * (count // 20),
}


@pytest.mark.parametrize("make", PARTS.values(), ids=PARTS.keys())
def test_parts_are_counted_and_the_limit_is_named(make: Callable[[int], bytes]) -> None:
    limits = Limits(max_parts=1000)
    assert open_image(make(300), limits).image.size[0] > 0
    with pytest.raises(TooManyParts, match=r"more than 1,000 .*max_parts.*raise the limit"):
        open_image(make(1001), limits)


def test_items_of_an_avif_are_counted_though_they_are_not_there() -> None:
    with pytest.raises(TooManyParts):
        read_contents(with_items(60_000), Limits())


def test_later_pictures_are_never_decoded() -> None:
    for kind in ("GIF", "PNG", "WEBP", "TIFF"):
        pictures = [Image.fromarray(np.full((20, 20), level, np.uint8)) for level in range(0, 200, 10)]
        options = {"lossless": True} if kind == "WEBP" else {}
        animated = encode(pictures[0], kind, save_all=True, append_images=pictures[1:], **options)
        image = Image.open(io.BytesIO(read_contents(animated, Limits()).data))
        assert getattr(image, "n_frames", 1) == 1
        assert np.asarray(open_image(animated).image.convert("L")).max() == 0


def with_scans(count: int) -> bytes:
    """A progressive JPEG with its last scan repeated this many times."""
    start, end = find_scans(PROGRESSIVE)[-1]
    return PROGRESSIVE[:end] + PROGRESSIVE[start:end] * count + PROGRESSIVE[end:]


def test_the_scans_of_a_progressive_jpeg_are_counted_by_what_they_go_over() -> None:
    own = read_contents(PROGRESSIVE, Limits()).scans
    limits = Limits(max_scanned=LEAST_SCANNED * (own + 10))
    assert own > 1
    assert read_contents(with_scans(10), limits).scans == own + 10
    with pytest.raises(TooManyParts, match=rf"{own + 11} scans.*max_scanned.*baseline JPEG or raise the limit"):
        read_contents(with_scans(11), limits)


def test_a_scan_of_many_pixels_counts_as_many() -> None:
    large = encode(Image.new("RGB", (1000, 800)), "JPEG", progressive=True, subsampling=0)
    # Two of the three components together, and of one: luminance four times, both others twice.
    scanned = 800_000 * (2 * 3 + 4 + 2 * 2)
    assert read_contents(large, Limits(max_scanned=scanned)).scans == 10
    with pytest.raises(TooManyParts):
        read_contents(large, Limits(max_scanned=scanned - 1))


def test_markers_in_segments_between_scans_hide_no_scan() -> None:
    end = find_scans(PROGRESSIVE)[0][1]
    hidden = PROGRESSIVE[:end] + segment(0xFE, b"\xff\xd9\xff\xda") + PROGRESSIVE[end:]
    assert read_contents(hidden, Limits()).scans == read_contents(PROGRESSIVE, Limits()).scans


def test_many_scans_are_not_decoded_in_the_event_loop() -> None:
    policy = ImagePolicy(height=30, width=33, channels=3)
    assert decode_small(PROGRESSIVE, policy, Limits()) is not None
    assert decode_small(with_scans(20), policy, Limits()) is None


def test_the_largest_honest_progressive_jpeg_is_within_the_limit() -> None:
    header = encode(Image.new("RGB", (16, 16)), "JPEG", progressive=True, subsampling=0)
    place = header.index(b"\xff\xc2") + 5
    large = header[:place] + struct.pack(">HH", 7000, 7000) + header[place + 4 :]
    assert read_contents(large, Limits()).scans == 10


@pytest.mark.parametrize("size", [(16_384, 16_384), (50_001, 1_000)])
def test_a_canvas_is_checked_before_memory_is_taken_for_it(size: tuple[int, int]) -> None:
    canvas = b"\0\0\0\0" + (size[0] - 1).to_bytes(3, "little") + (size[1] - 1).to_bytes(3, "little")
    with pytest.raises(TooManyPixels):
        open_image(riff((b"VP8X", canvas), (b"VP8L", WEBP[20:])))


def test_run_lengths_are_bounded() -> None:
    palette = bytes(range(256)) * 4

    def bmp(width: int, height: int, runs: bytes) -> bytes:
        header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(runs), 0, 0, 256, 0)
        return b"BM" + struct.pack("<IHHI", 54 + 1024 + len(runs), 0, 0, 54 + 1024) + header + palette + runs

    assert open_image(bmp(4, 2, b"\4\7\0\0\4\7\0\1")).image.size == (4, 2)
    assert len(read_contents(bmp(4, 2, bytes(100_000)), Limits()).data) < 4_000
    with pytest.raises(TooManyPixels, match="run-length"):
        open_image(bmp(3000, 3000, b"\0\1"))


def with_xmp(*packets: bytes) -> bytes:
    return in_png(PNG, *(chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(xmp)) for xmp in packets))


def test_of_texts_one_alone_is_inflated_and_no_further_than_an_orientation_needs() -> None:
    says = b'tiff:Orientation="6"'
    assert open_image(with_xmp(bytes(1000) + says)).image.size == (30, 33)
    assert open_image(with_xmp(bytes(70_000) + says)).image.size == (33, 30)
    assert open_image(with_xmp(b"<rdf/>", says)).image.size == (33, 30)


def test_a_strip_that_is_listed_again_and_again_is_refused() -> None:
    strips = [zlib.compress(bytes(10))] * 8
    whole = tiff(10, 8, strips, compression=8)
    assert open_image(whole).image.size == (10, 8)
    sizes = struct.pack("<8I", *map(len, strips))
    with pytest.raises(UndecodableImage, match="strips"):
        open_image(whole.replace(sizes, struct.pack("<8I", *[len(whole)] * 8)))


def test_a_tile_is_no_larger_than_an_image() -> None:
    with pytest.raises(TooManyPixels, match="60000x60000"):
        open_image(tiff(8, 8, [zlib.compress(bytes(64))], (322, 60_000), (323, 60_000), compression=8))
