import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageDraw

from artifact.errors import EmptyBody, ImageTooLarge, TooManyPixels, UndecodableImage, UnsupportedType
from artifact.image_policy import ImagePolicy
from artifact.images.decode import decode_image, open_image
from artifact.images.fit import apply_policy, find_frame
from artifact.images.frame import Frame, Opened
from artifact.images.limits import Limits

GRAY = ImagePolicy(height=8, width=8, channels=1)
COLOR = ImagePolicy(height=8, width=8, channels=3)
DIGIT = ImagePolicy(height=28, width=28, channels=1, fit="content", margin=4 / 28, polarity="light-on-dark")


def encode(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def frame_of(image: Image.Image) -> Frame:
    return find_frame(Opened(image, *image.size), DIGIT)


def bare_png(width: int, height: int, data: bytes = b"", *, depth: int = 8, color: int = 0) -> bytes:
    """A PNG written by hand, so that a test can claim any size."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


# Formats and color


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "MPO"])
def test_every_supported_format_is_decoded(kind: str) -> None:
    options = {"save_all": True, "append_images": [Image.new("RGB", (8, 8), "blue")]} if kind == "MPO" else {}
    pixels = decode_image(encode(Image.new("RGB", (8, 8), (200, 40, 40)), kind, **options), COLOR)
    assert pixels.shape == (8, 8, 3)
    assert pixels.dtype == np.uint8
    np.testing.assert_allclose(pixels.mean(axis=(0, 1)), (200, 40, 40), atol=8)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr"])
@pytest.mark.parametrize("policy", [GRAY, COLOR])
def test_every_mode_becomes_what_the_network_expects(mode: str, policy: ImagePolicy) -> None:
    image = Image.new("RGB", (8, 8), "white").convert(mode)
    kind = "TIFF" if mode in ("CMYK", "YCbCr") else "PNG"
    pixels = decode_image(encode(image, kind), policy)
    assert pixels.shape == policy.shape
    assert pixels.min() >= 254


def test_pixels_of_the_right_size_pass_unchanged() -> None:
    image = noise(8, 8, 3)
    np.testing.assert_array_equal(decode_image(encode(Image.fromarray(image)), COLOR), image)


def test_alpha_is_composited_on_white() -> None:
    image = Image.new("RGBA", (8, 8), (255, 0, 0, 0))
    image.paste((0, 0, 0, 128), (0, 0, 4, 8))
    pixels = decode_image(encode(image), COLOR)
    assert pixels[0, 7].tolist() == [255, 255, 255]
    np.testing.assert_allclose(pixels[0, 0], 127, atol=1)


def test_a_transparent_palette_color_becomes_white() -> None:
    image = Image.new("P", (8, 8), 1)
    image.putpalette([0, 0, 0, 10, 200, 10])
    assert decode_image(encode(image, transparency=1), COLOR).min() == 255


def test_16_bits_are_scaled_not_clipped() -> None:
    levels = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    pixels = decode_image(encode(Image.fromarray(levels)), GRAY)[..., 0]
    np.testing.assert_allclose(pixels, levels / 257, atol=0.51)


def test_32_bits_are_refused_with_the_remedy() -> None:
    with pytest.raises(UnsupportedType, match="save it with 8 bits"):
        decode_image(encode(Image.fromarray(np.ones((8, 8), np.float32)), "TIFF"), GRAY)


def test_exif_orientation_is_applied() -> None:
    image = Image.fromarray(noise(8, 8))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show it turned clockwise
    turned = decode_image(encode(image, "PNG", exif=exif), GRAY)[..., 0]
    np.testing.assert_array_equal(turned, np.rot90(np.asarray(image), -1))


def test_the_first_frame_of_an_animation_counts() -> None:
    frames = [Image.new("L", (8, 8), level) for level in (10, 200)]
    assert decode_image(encode(frames[0], "GIF", save_all=True, append_images=frames[1:]), GRAY).max() == 10


# Limits and damage


def test_an_empty_body_says_what_to_send() -> None:
    with pytest.raises(EmptyBody, match="0 bytes"):
        decode_image(b"", GRAY)


def test_too_many_bytes_name_value_limit_and_remedy() -> None:
    with pytest.raises(ImageTooLarge, match=r"101 bytes.*max_image_bytes.*100.*raise the limit"):
        decode_image(b"x" * 101, GRAY, Limits(max_image_bytes=100))


def test_too_many_pixels_are_refused_from_the_header_alone() -> None:
    bomb = bare_png(30000, 30000, bytes(100_000))
    assert len(bomb) < 100_000
    with pytest.raises(TooManyPixels, match=r"30000x30000 = 900,000,000 pixels.*50,000,000.*scale it down"):
        decode_image(bomb, GRAY)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_a_truncated_image_is_named_as_such(kind: str) -> None:
    data = encode(Image.fromarray(noise(64, 64, 3)), kind)
    with pytest.raises(UndecodableImage, match=r"truncated|damaged|no image"):
        decode_image(data[: len(data) * 2 // 3], COLOR)


def test_text_with_the_name_of_an_image_is_no_image() -> None:
    with pytest.raises(UndecodableImage, match="not an image of a supported type"):
        decode_image(b"hello, I am photo.jpg", COLOR)


@pytest.mark.parametrize(
    ("data", "remedy"),
    [
        (b"\0\0\0\x18ftypheic" + bytes(40), "save it as JPEG"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "save it as PNG"),
        (b"%PDF-1.7 ...", "save the page as PNG"),
    ],
)
def test_a_known_but_unsupported_type_gets_its_remedy(data: bytes, remedy: str) -> None:
    with pytest.raises(UnsupportedType, match=remedy):
        decode_image(data, COLOR)


def test_random_damage_never_raises_anything_else() -> None:
    generator = np.random.default_rng(0)
    for kind in ("JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP"):
        whole = encode(Image.fromarray(noise(24, 24, 3)), kind)
        for _ in range(60):
            damaged = bytearray(whole)
            for place in generator.integers(0, len(whole), 4):
                damaged[place] ^= 1 << int(generator.integers(8))
            try:
                assert decode_image(bytes(damaged), COLOR).shape == COLOR.shape
            except (UndecodableImage, UnsupportedType, TooManyPixels):
                continue


# Resizing


def test_antialias_is_pillows_bilinear_with_a_box() -> None:
    image = Image.fromarray(noise(50, 70, 3))
    expected = np.asarray(image.resize((8, 8), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(decode_image(encode(image), COLOR), expected)


def test_nearest_is_pillows() -> None:
    image = Image.fromarray(noise(50, 70, 3))
    policy = COLOR.model_copy(update={"resize": "nearest"})
    expected = np.asarray(image.resize((8, 8), Image.Resampling.NEAREST))
    np.testing.assert_array_equal(decode_image(encode(image), policy), expected)


@pytest.mark.parametrize(("height", "width"), [(50, 70), (5, 3), (8, 8), (1, 9)])
@pytest.mark.parametrize("policy", [GRAY, COLOR])
def test_bilinear_is_tensorflows_without_antialias(height: int, width: int, policy: ImagePolicy) -> None:
    tf = pytest.importorskip("tensorflow")
    shape = (height, width) if policy.channels == 1 else (height, width, 3)
    image = noise(*shape)
    policy = policy.model_copy(update={"resize": "bilinear"})
    expected = tf.image.resize(image.reshape(height, width, policy.channels), (8, 8)).numpy()
    np.testing.assert_allclose(decode_image(encode(Image.fromarray(image)), policy), expected, atol=0.51)


@pytest.mark.parametrize("size", [(500, 375), (375, 500), (256, 256), (482, 500), (101, 100), (60, 40)])
def test_crops_of_older_cards_are_within_a_level_of_resizing_and_then_cropping(size: tuple[int, int]) -> None:
    policy = ImagePolicy(height=56, width=56, channels=3, fit="crop", crop_rule="rounded")
    image = Image.fromarray(noise(size[1], size[0], 3)).resize(size, Image.Resampling.BICUBIC)
    scale = 64 / min(size)
    resized = image.resize((round(size[0] * scale), round(size[1] * scale)), Image.Resampling.BILINEAR)
    left, top = round((resized.width - 56) / 2), round((resized.height - 56) / 2)
    expected = np.asarray(resized.crop((left, top, left + 56, top + 56)), dtype=int)
    assert np.abs(apply_policy(image, policy).astype(int) - expected).max() <= 1


def test_a_large_jpeg_is_decoded_smaller_where_the_policy_allows_it() -> None:
    photo = Image.fromarray(noise(6, 8, 3)).resize((1600, 1200), Image.Resampling.BICUBIC)
    data = encode(photo, "JPEG", quality=95)
    policy = ImagePolicy(height=64, width=64, channels=3, fit="crop", reduced_decode=True)
    assert open_image(data, policy=policy).image.size == (200, 150)
    assert open_image(data).image.size == (1600, 1200)
    whole = decode_image(data, policy.model_copy(update={"reduced_decode": False}))
    assert np.abs(decode_image(data, policy).astype(int) - whole).max() <= 8


@pytest.mark.parametrize("size", [(1601, 1203), (1607, 1201)])
@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("fit", ["crop", "stretch"])
def test_odd_sizes_keep_their_place_when_decoded_smaller(size: tuple[int, int], orientation: int, fit: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    photo = Image.fromarray(noise(30, 40, 3)).resize(size, Image.Resampling.BICUBIC)
    data = encode(photo, "JPEG", quality=95, exif=exif)
    policy = ImagePolicy(height=64, width=64, channels=3, fit=fit, reduced_decode=True)
    whole = decode_image(data, policy.model_copy(update={"reduced_decode": False}))
    assert np.abs(decode_image(data, policy).astype(int) - whole).max() <= 8


# Content and polarity


def drawn(size: tuple[int, int], box: tuple[int, int, int, int], ink: int = 0, paper: int = 255) -> Image.Image:
    image = Image.new("L", size, paper)
    ImageDraw.Draw(image).rectangle(box, fill=ink)
    return image


@pytest.mark.parametrize("place", [(5, 5), (300, 120), (80, 250)])
@pytest.mark.parametrize("ink_size", [20, 60, 100])
def test_content_finds_the_ink_wherever_and_however_large_it_is(place: tuple[int, int], ink_size: int) -> None:
    x, y = place
    page = drawn((420, 380), (x, y, x + ink_size - 1, y + ink_size - 1))
    pixels = apply_policy(page, DIGIT)[..., 0]
    inside = np.zeros((28, 28), dtype=np.uint8)
    inside[4:24, 4:24] = 255
    wrong = np.abs(pixels.astype(int) - inside)
    assert (wrong > 40).mean() <= 0.03  # the edge of the ink may lie within a pixel
    assert wrong[10:18, 10:18].max() == 0


@pytest.mark.parametrize("box", [(10, 10, 40, 90), (0, 0, 99, 20), (60, 60, 75, 79), (3, 50, 97, 52)])
def test_content_applied_twice_equals_once_within_a_pixel(box: tuple[int, int, int, int]) -> None:
    once = apply_policy(drawn((100, 100), box), DIGIT)
    twice = apply_policy(Image.fromarray(once[..., 0]), DIGIT)
    first, second = (frame_of(Image.fromarray(image[..., 0])) for image in (once, twice))
    assert np.abs(np.subtract(first[:4], (0, 0, 28, 28))).max() <= 1
    assert np.abs(np.subtract(second[:4], (0, 0, 28, 28))).max() <= 1
    shifted = [np.roll(once[..., 0], (dy, dx), (0, 1)) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
    lowest, highest = np.min(shifted, axis=0).astype(int), np.max(shifted, axis=0).astype(int)
    assert (twice[..., 0] >= lowest - 8).all()
    assert (twice[..., 0] <= highest + 8).all()


@pytest.mark.parametrize("expected", ["light-on-dark", "dark-on-light"])
def test_input_of_the_other_polarity_is_inverted(expected: str) -> None:
    policy = GRAY.model_copy(update={"polarity": expected})
    dark_on_light = drawn((8, 8), (3, 3, 4, 4))
    light_on_dark = Image.eval(dark_on_light, lambda level: 255 - level)
    pixels = apply_policy(dark_on_light, policy)
    np.testing.assert_array_equal(pixels, apply_policy(light_on_dark, policy))
    assert pixels[0, 0, 0] == (0 if expected == "light-on-dark" else 255)


def test_any_polarity_leaves_the_image_alone() -> None:
    image = drawn((8, 8), (3, 3, 4, 4))
    np.testing.assert_array_equal(apply_policy(image, GRAY)[..., 0], np.asarray(image))


@pytest.mark.parametrize("level", [0, 128, 255])
def test_no_ink_means_the_whole_frame(level: int) -> None:
    blank = Image.new("L", (60, 40), level)
    assert frame_of(blank) == (0, 0, 60, 40, 0, None)
    assert apply_policy(blank, DIGIT).shape == (28, 28, 1)


def test_content_works_on_color_images() -> None:
    page = Image.new("RGB", (90, 70), "white")
    ImageDraw.Draw(page).rectangle((50, 20, 69, 39), fill="navy")
    policy = ImagePolicy(height=20, width=20, channels=3, fit="content")
    np.testing.assert_array_equal(apply_policy(page, policy), np.full((20, 20, 3), (0, 0, 128)))
