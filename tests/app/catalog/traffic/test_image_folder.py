"""Images of disagreements as files: how many, what a disk that doesn't take them does, and which folder is refused."""

import asyncio
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from app.catalog.traffic import image_folder
from app.catalog.traffic.image_folder import ImageFolder, check_folder
from tests.makers.artifacts import gray_image

IMAGE = gray_image(10)


def run(folder: Path, scene: Callable[[ImageFolder], Coroutine[Any, Any, None]]) -> None:
    async def whole() -> None:
        await scene(ImageFolder(folder))

    asyncio.run(whole())


def test_the_oldest_go_where_there_are_too_many_those_of_earlier_starts_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_folder, "MAX_IMAGES", 3)
    earlier = tmp_path / "next" / "earlier.png"
    earlier.parent.mkdir()
    earlier.write_bytes(IMAGE)
    earlier.with_suffix(".json").write_text("{}")
    os.utime(earlier, (1, 1))
    monkeypatch.setattr(image_folder, "_LOOK_EVERY", 1)

    async def scene(images: ImageFolder) -> None:
        for number in range(5):
            images.keep("next", {"id": str(number)}, IMAGE)
            assert await images.find("next", str(number)) == IMAGE
            os.utime(tmp_path / "next" / f"{number}.png", (number + 2, number + 2))
        images.keep("next", {"id": "last"}, IMAGE)
        assert await images.find("next", "last") == IMAGE
        assert await images.find("next", "0") is None
        images.forget("other")

    run(tmp_path, scene)
    assert sorted(file.name for file in (tmp_path / "next").iterdir()) == sorted(
        f"{name}.{suffix}" for name in ("3", "4", "last") for suffix in ("json", "png")
    )


def test_too_many_bytes_are_too_many_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_folder, "MAX_BYTES", len(IMAGE))
    monkeypatch.setattr(image_folder, "_LOOK_EVERY", 1)

    async def scene(images: ImageFolder) -> None:
        for name in ("a", "b"):
            images.keep("next", {"id": name}, IMAGE)
            assert await images.find("next", name) == IMAGE

    run(tmp_path, scene)
    assert len(list((tmp_path / "next").glob("*.png"))) == 1


def test_what_the_disk_does_not_take_is_said_and_not_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "next").write_text("a file")

    async def scene(images: ImageFolder) -> None:
        images.keep("next", {"id": "a"}, b"no image of any kind")
        assert images.holds("next", "a")
        while images.holds("next", "a"):
            await asyncio.sleep(0.001)
        assert await images.find("next", "a") is None

    run(tmp_path, scene)
    assert "next/a.bin of a disagreement can't be kept" in caplog.text


def test_what_a_slow_disk_has_not_written_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_folder, "_MOST_BACKLOG_BYTES", len(IMAGE))

    async def scene(images: ImageFolder) -> None:
        images.keep("next", {"id": "a"}, IMAGE)
        images.keep("next", {"id": "b"}, IMAGE)
        assert await images.find("next", "a") == IMAGE
        assert not images.holds("next", "b")
        images.keep("next", {"id": "c"}, IMAGE)
        assert await images.find("next", "c") == IMAGE

    run(tmp_path, scene)


def test_a_folder_that_takes_no_files_is_refused_in_words(tmp_path: Path) -> None:
    check_folder(tmp_path / "made" / "here")
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"shadow_images .*file can't be written to \(.*\): name another folder"):
        check_folder(tmp_path / "file")
