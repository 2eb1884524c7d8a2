"""Images in a bucket: moto's S3 server stands in for it."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from app.client.image_lists import ListedImage, list_images
from app.client.image_reader import ImageReader, UnreadableImage
from artifact.errors import InputError, StoreError
from artifact.stores.objects import open_objects
from artifact.stores.opening import open_store
from tests.makers.buckets import S3StandIn
from tests.makers.waiting import LONGEST_S

HIDDEN = (".cache/photos/1.png", ".cache/photos/.2.png", ".cache/photos/.x/3.png")


@pytest.fixture(scope="module")
def s3() -> Iterator[S3StandIn]:
    stand_in = S3StandIn()
    stand_in.make_bucket("photos")
    manifest = b"path,label\n../day/cat/1.png,cat\ns3://photos/day/2.png,\n"
    files = {
        "day/cat/1.png": b"one",
        "day/2.png": b"two",
        "day/notes.txt": b"",
        "day/.x/3.png": b"",
        "in/set.csv": manifest,
    }
    for path, content in files.items():
        stand_in.ask("PUT", f"/photos/{path}", content)
    stand_in.make_bucket("odd")
    for path in HIDDEN:
        stand_in.ask("PUT", f"/odd/{path}", b"any")
    for name in ("a#1", "a?2", "a%201", "a b"):
        stand_in.ask("PUT", f"/odd/signs/{quote(name)}.png", name.encode())
    yield stand_in
    stand_in.end()


@pytest.fixture(autouse=True)
def keys(s3: S3StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    open_objects.cache_clear()
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)


def fill_as_odd(folder: Path) -> Path:
    """What the bucket `odd` holds of hidden folders, in a folder."""
    for path in HIDDEN:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(b"any")
    return folder


def read(name: str, max_bytes: int = 100) -> bytes:
    async def read_one() -> bytes:
        async with ImageReader(max_bytes) as reader:
            return await asyncio.wait_for(reader.read(name), LONGEST_S)

    return asyncio.run(read_one())


def test_what_is_below_an_address_is_listed_as_a_folder_is() -> None:
    images = [ListedImage("s3://photos/day/2.png"), ListedImage("s3://photos/day/cat/1.png", "cat", is_folder=True)]
    assert list_images(["s3://photos/day/"]) == images
    assert [read(image.name) for image in images] == [b"two", b"one"]
    assert [image.name for image in list_images(["s3://photos"])] == [image.name for image in images]


def test_what_is_named_itself_is_not_hidden_as_of_folders(tmp_path: Path) -> None:
    for start in ("s3://odd/.cache/photos", str(fill_as_odd(tmp_path) / ".cache/photos")):
        assert list_images([start]) == [ListedImage(f"{start}/1.png")]
    assert list_images(["s3://odd/signs"]) == list_images(["s3://odd/signs/"])


def test_names_with_signs_of_addresses_are_read_as_they_are_listed() -> None:
    images = list_images(["s3://odd/signs"])
    assert [image.name for image in images] == [f"s3://odd/signs/{name}.png" for name in ("a b", "a#1", "a%201", "a?2")]
    assert [read(image.name) for image in images] == [b"a b", b"a#1", b"a%201", b"a?2"]


def test_one_object_is_an_image_and_a_manifest_may_lie_there_too() -> None:
    assert list_images(["s3://photos/day/2.png"]) == [ListedImage("s3://photos/day/2.png")]
    first, second = list_images(["s3://photos/in/set.csv"])
    assert first == ListedImage("s3://photos/in/../day/cat/1.png", "cat")
    assert second == ListedImage("s3://photos/day/2.png")


def test_what_is_not_there_says_so() -> None:
    with pytest.raises(InputError, match="s3://photos/night contains no images"):
        list_images(["s3://photos/night"])
    with pytest.raises(InputError, match=r"absent\.csv can't be read: "):
        list_images(["s3://photos/absent.csv"])
    with pytest.raises(UnreadableImage, match="can't be read: not in the store"):
        read("s3://photos/absent.png")
    with pytest.raises(StoreError, match="the bucket s3://nowhere does not exist"):
        list_images(["s3://nowhere/day"])


def test_a_path_that_no_bucket_has_says_so_in_one_line() -> None:
    for name in ("s3://photos/in/../day/2.png", "s3://photos/day//2.png"):
        with pytest.raises(UnreadableImage, match=r"can't be read: the bucket s3://photos can't have such a path \("):
            read(name)
    with pytest.raises(StoreError, match=r"can't have such a path \(.*\): write it without //, \. and \.\.$"):
        list_images(["s3://photos/in/../day"])
    with pytest.raises(StoreError, match=r"the repository s3://photos/a/\.\./b can't have such a path"):
        open_store("s3://photos/a/../b")


def test_a_large_object_is_refused_before_it_is_copied() -> None:
    with pytest.raises(UnreadableImage, match="more than 2 bytes"):
        read("s3://photos/day/2.png", max_bytes=2)


def test_credentials_that_are_refused_are_named(s3: S3StandIn) -> None:
    with s3.asking_for_credentials(), pytest.raises(UnreadableImage, match="set AWS_ACCESS_KEY_ID"):
        read("s3://photos/day/2.png")
