import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.client.image_reader import ImageReader, UnreadableImage
from tests.makers.stores import WebStandIn, free_port


def read(*names: str, max_bytes: int = 100) -> list[bytes | str]:
    """What is read, or why it isn't."""

    async def read_all() -> list[bytes | str]:
        found: list[bytes | str] = []
        async with ImageReader(max_bytes) as reader:
            for name in names:
                try:
                    found.append(await reader.read(name))
                except UnreadableImage as error:
                    found.append(str(error))
        return found

    return asyncio.run(read_all())


@pytest.fixture
def web(tmp_path: Path) -> Iterator[WebStandIn]:
    (tmp_path / "a.png").write_bytes(b"a" * 100)
    (tmp_path / "large.png").write_bytes(b"b" * 1_000_000)
    server = WebStandIn(tmp_path)
    yield server
    server.close()


def test_files_and_web_addresses_give_their_bytes(web: WebStandIn) -> None:
    assert read(str(web.folder / "a.png"), f"{web.address}/a.png") == [b"a" * 100] * 2


def test_what_is_larger_than_the_limit_is_refused_before_it_is_whole(web: WebStandIn) -> None:
    web.held = "large"  # the server waits in the middle: who reads on would wait, too
    file, fetched = read(str(web.folder / "large.png"), f"{web.address}/large.png")
    assert file == fetched
    assert str(file).startswith("has more than 100 bytes, the limit (max_image_bytes)")


def test_what_cannot_be_had_says_why(web: WebStandIn) -> None:
    address = f"http://127.0.0.1:{free_port()}/a.png"
    absent, missing, nobody, wrong = read("/absent.png", f"{web.address}/absent.png", address, "http://[/a.png")
    assert absent == "can't be read: No such file or directory"
    assert missing == "can't be fetched: the server answered 404"
    assert str(nobody).startswith("can't be fetched: ")
    assert str(wrong).startswith("can't be fetched: ")


def test_a_folder_that_a_manifest_names_is_one_that_cannot_be_read(tmp_path: Path) -> None:
    assert read(str(tmp_path)) == ["can't be read: Is a directory"]
