from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from artifact.errors import ConvserveError
from artifact.image_policy import ImagePolicy
from artifact.images.fit import apply_policy
from artifact.images.frame import Pixels
from export.data.samples import (
    CHUNK,
    ArraySamples,
    BytesSamples,
    FileSamples,
    Samples,
    decode_samples,
    run_samples,
)

TINY = ImagePolicy(height=4, width=4, channels=1)


def make_samples(kind: str, images: Pixels, folder: Path) -> Samples:
    arrays = ArraySamples(images, np.zeros(len(images)))
    if kind == "arrays":
        return arrays
    files = [arrays.encoded(index) for index in range(len(images))]
    if kind == "bytes":
        return BytesSamples(files)
    paths = [folder / f"{index}{suffix}" for index, (_, suffix) in enumerate(files)]
    for path, (data, _) in zip(paths, files, strict=True):
        path.write_bytes(data)
    return FileSamples(paths, np.zeros(len(paths)))


def test_a_set_is_run_in_order_a_chunk_at_a_time() -> None:
    levels = np.arange(CHUNK + 6, dtype=np.uint8)
    samples = ArraySamples(np.broadcast_to(levels[:, None, None], (len(levels), 4, 4)), np.zeros(len(levels)))
    parts = run_samples(samples, TINY, lambda pixels: pixels[:, 0, 0, 0], title="levels")
    assert [len(part) for part in parts] == [CHUNK, 6]
    assert np.concatenate(parts).tolist() == levels.tolist()


@pytest.mark.parametrize("kind", ["arrays", "bytes", "files"])
@pytest.mark.parametrize("size", [(9, 7), (150, 130)], ids=["decoded at once", "in threads"])
@pytest.mark.parametrize(
    "policy",
    [
        ImagePolicy(height=9, width=7, channels=3),
        ImagePolicy(height=9, width=7, channels=1),
        ImagePolicy(height=5, width=5, channels=3, fit="crop"),
        ImagePolicy(height=8, width=8, channels=1, fit="content", polarity="dark-on-light"),
    ],
    ids=["as it is", "gray", "crop", "content"],
)
def test_pixels_are_each_images_own_in_the_order_asked_for(
    kind: str, policy: ImagePolicy, size: tuple[int, int], tmp_path: Path
) -> None:
    images = np.random.default_rng(0).integers(0, 256, (50, *size, 3), dtype=np.uint8)
    samples = make_samples(kind, images, tmp_path)
    order = np.random.default_rng(1).permutation(50)[:37]
    expected = np.stack([apply_policy(Image.fromarray(images[index]), policy) for index in order])
    np.testing.assert_array_equal(samples.pixels(order, policy), expected)
    np.testing.assert_array_equal(decode_samples(samples, order, policy), expected)


def test_an_image_that_cant_be_decoded_is_raised_out_of_its_thread() -> None:
    good = ArraySamples(np.zeros((1, 4, 4), np.uint8), [0]).encoded(0)
    samples = BytesSamples([good] * 20 + [(b"no image", ".png")])
    with pytest.raises(ConvserveError):
        decode_samples(samples, range(21), TINY)
