from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from artifact.image_policy import ImagePolicy
from artifact.images.frame import Pixels
from export.data.samples import BytesSamples
from export.data.stored.pixel_cache import CachedSamples, PixelCache
from export.errors import DataError
from tests.makers.stored_sets import draw_images

POLICY = ImagePolicy(height=40, width=48, channels=3, fit="crop")
ROW = 40 * 48 * 3
IMAGES = draw_images(count=6)
EVERY = np.arange(12)


class Counted(BytesSamples):
    """Samples that count what they decode."""

    decoded = 0

    def pixels(self, indices: np.ndarray, policy: ImagePolicy) -> Pixels:
        self.decoded += len(indices)
        return super().pixels(indices, policy)


def make(home: Path, *, images: list[bytes] | None = None, limit: int = 10**6) -> tuple[Counted, CachedSamples]:
    samples = Counted([(content, ".jpg") for content in images or IMAGES.values()])
    return samples, CachedSamples(samples, PixelCache(home, POLICY, limit))


def test_an_image_is_decoded_once_in_this_training_and_in_later_ones(tmp_path: Path) -> None:
    samples, cached = make(tmp_path)
    expected = BytesSamples.pixels(samples, EVERY, POLICY)
    assert np.array_equal(cached.pixels(EVERY, POLICY), expected)
    assert np.array_equal(cached.pixels(EVERY[::-1], POLICY), expected[::-1])
    assert samples.decoded == 12
    del cached
    samples, cached = make(tmp_path)
    assert np.array_equal(cached.pixels(EVERY, POLICY), expected)
    assert samples.decoded == 0


def test_an_image_that_changes_or_is_added_is_decoded_and_the_others_are_not(tmp_path: Path) -> None:
    _, cached = make(tmp_path)
    cached.pixels(EVERY, POLICY)
    del cached
    images = [*draw_images(("cow",), 2, seed=1).values(), *list(IMAGES.values())[1:]]
    samples, cached = make(tmp_path, images=images)
    expected = BytesSamples.pixels(samples, np.arange(13), POLICY)
    assert np.array_equal(cached.pixels(np.arange(13), POLICY), expected)
    assert samples.decoded == 2


def test_another_policy_has_pixels_of_its_own(tmp_path: Path) -> None:
    _, cached = make(tmp_path)
    cached.pixels(EVERY, POLICY)
    other = POLICY.model_copy(update={"fit": "stretch"})
    assert len(PixelCache(tmp_path, other, 10**6)) == 0
    samples, _ = make(tmp_path / "b")
    assert np.array_equal(cached.pixels(EVERY, other), samples.pixels(EVERY, other))


def test_damage_is_noticed_told_once_and_decoded_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    samples, cached = make(tmp_path)
    expected = cached.pixels(EVERY, POLICY)
    (file,) = tmp_path.glob("*/pixels")
    with file.open("r+b") as pixels:
        for place in (100, 5 * ROW + 7):
            pixels.seek(place)
            pixels.write(b"\xff\x00\xff\x00")
        pixels.truncate(12 * ROW - 1)
    assert np.array_equal(cached.pixels(EVERY, POLICY), expected)
    assert (samples.decoded, cached.cache.damaged) == (15, 3)
    assert capsys.readouterr().err.count("damaged pixels") == 1
    assert np.array_equal(cached.pixels(EVERY, POLICY), expected)
    assert samples.decoded == 15


def test_an_index_that_is_cut_off_loses_its_last_image_alone(tmp_path: Path) -> None:
    _, cached = make(tmp_path)
    expected = cached.pixels(EVERY, POLICY)
    del cached
    (file,) = tmp_path.glob("*/index")
    with file.open("r+b") as index:
        index.truncate(12 * 20 - 3)
    samples, cached = make(tmp_path)
    assert np.array_equal(cached.pixels(EVERY, POLICY), expected)
    assert samples.decoded == 1


def test_no_more_is_kept_than_the_limit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    limit = 8 * (ROW + 20)  # of which about.json takes some
    samples, cached = make(tmp_path, limit=limit)
    expected = cached.pixels(EVERY, POLICY)
    assert "keeps 7 images and no more (its limit is reached" in capsys.readouterr().err
    assert sum(file.stat().st_size for file in tmp_path.rglob("*") if file.is_file()) <= limit
    assert np.array_equal(cached.pixels(EVERY, POLICY), expected)
    assert samples.decoded == 12 + 5


def test_a_full_disk_ends_keeping_and_not_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(28, "No space left on device")

    samples, cached = make(tmp_path)
    monkeypatch.setattr("export.data.stored.pixel_cache.os.pwrite", refuse)
    assert np.array_equal(cached.pixels(EVERY, POLICY), samples.pixels(EVERY, POLICY))
    assert "(No space left on device)" in capsys.readouterr().err


def test_a_cache_in_use_and_one_that_cannot_be_written_are_refused(tmp_path: Path) -> None:
    _, cached = make(tmp_path / "a")
    with pytest.raises(DataError, match="is used by another training"):
        make(tmp_path / "a")
    assert len(cached) == 12
    (tmp_path / "b").write_text("a file")
    with pytest.raises(DataError, match="can't be used"):
        make(tmp_path / "b")
    shutil.rmtree(tmp_path / "a")
