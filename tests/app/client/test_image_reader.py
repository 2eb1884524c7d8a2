import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from app.client import image_reader
from app.client.image_reader import ImageReader, UnreadableImage
from tests.makers.stores import WebStandIn, free_port
from tests.makers.waiting import LONGEST_S


def read(*names: str, max_bytes: int = 100) -> list[bytes | str]:
    """What is read, or why it isn't."""

    async def read_all() -> list[bytes | str]:
        found: list[bytes | str] = []
        async with ImageReader(max_bytes) as reader:
            for name in names:
                try:
                    found.append(await asyncio.wait_for(reader.read(name), LONGEST_S))
                except UnreadableImage as error:
                    found.append(str(error))
        return found

    return asyncio.run(read_all())


def read_together(*names: str) -> list[bytes | BaseException | str]:
    """As `read`, asked for in one turn of the event loop."""

    async def read_all() -> list[bytes | BaseException]:
        async with ImageReader(100) as reader:
            async with asyncio.timeout(LONGEST_S):
                return await asyncio.gather(*map(reader.read, names), return_exceptions=True)

    return [str(found) if isinstance(found, UnreadableImage) else found for found in asyncio.run(read_all())]


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


def test_a_name_that_nothing_can_have_says_why_and_the_others_are_read(web: WebStandIn) -> None:
    # The three are read in one go, by one thread.
    names = ("a\0.png", "hf://owner/name@main/a.png", str(web.folder / "a.png"))
    null, hub, file = read_together(*names)
    assert null == "can't be read: embedded null byte"
    assert str(hub).startswith("can't be read: hf://owner/name@main/a.png is in no bucket")
    assert file == b"a" * 100
    assert str(*read("http://example.org/\udce9.png")).startswith("can't be fetched: ")


def test_who_waits_for_an_image_is_told_of_a_fault_that_nobody_foresaw(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(address: str) -> None:
        raise RuntimeError("nobody foresaw this")

    monkeypatch.setattr(image_reader, "open_objects", fail)
    with pytest.raises(RuntimeError, match="nobody foresaw"):
        read("s3://photos/a.png")


def test_who_waits_when_the_reader_is_closed_does_not_wait_for_ever(
    web: WebStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def close_early() -> None:
        async with ImageReader(100) as reader:
            reader._threads.shutdown()
            reader._threads = ThreadPoolExecutor(1)
            go_on = Event()
            reader._threads.submit(go_on.wait)  # what is asked for waits behind it
            waiting = asyncio.ensure_future(reader.read(str(web.folder / "a.png")))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(waiting, LONGEST_S)

    asyncio.run(close_early())


def test_a_folder_that_a_manifest_names_is_one_that_cannot_be_read(tmp_path: Path) -> None:
    assert read(str(tmp_path)) == ["can't be read: Is a directory"]
