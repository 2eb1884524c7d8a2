import asyncio
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from app.catalog.catalog import Catalog
from app.catalog.repository import Look
from app.catalog.threads import PatientReader, run_in_thread
from app.inference.model import LoadedModel
from app.settings import Settings


@pytest.fixture
def hang() -> Iterator[threading.Event]:
    """What a hanging read waits for; it ends with the test."""
    release = threading.Event()
    yield release
    release.set()


def test_a_read_gives_or_raises_what_its_work_does() -> None:
    async def play() -> None:
        assert await run_in_thread(lambda: 7) == 7
        with pytest.raises(ZeroDivisionError):
            await run_in_thread(lambda: 1 // 0)

    asyncio.run(play())


def test_no_second_read_is_begun_while_the_first_hangs(hang: threading.Event) -> None:
    begun: list[str] = []

    def read() -> None:
        begun.append("")
        assert hang.wait(60)

    async def play() -> None:
        reader = PatientReader(0.05)
        for _ in range(3):
            with pytest.raises(TimeoutError, match=r"reading dead takes longer than 0\.05 s"):
                await reader.read("dead", read)
        assert len(begun) == 1
        assert await reader.read("alive", lambda: 7) == 7
        hang.set()
        async with asyncio.timeout(30):
            while len(begun) < 2:
                with suppress(TimeoutError):
                    await reader.read("dead", read)
                await asyncio.sleep(0)

    asyncio.run(play())


def test_more_hanging_reads_than_run_at_once_hold_up_no_other(hang: threading.Event) -> None:
    async def play() -> None:
        reader = PatientReader(0.05)
        hanging = [reader.read(str(number), hang.wait) for number in range(40)]
        results = await asyncio.gather(*hanging, reader.read("alive", lambda: 7), return_exceptions=True)
        assert results.pop() == 7
        assert {type(result) for result in results} == {TimeoutError}

    asyncio.run(play())


def test_a_load_whose_reads_hang_does_not_hold_up_the_end(
    repository: Path, hang: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.catalog.loading.PATIENCE_S", 0.05)
    begun = threading.Event()

    def read() -> None:
        begun.set()
        assert hang.wait(60)

    async def load(folder: Path, settings: Settings, *, in_thread: Any, **options: Any) -> LoadedModel:
        await in_thread(read)
        raise AssertionError

    async def play() -> None:
        catalog = Catalog(Settings(repository=repository), load)
        catalog.start([Look("tiny", available=(1,), wanted=(1,))])
        async with asyncio.timeout(30):
            while not begun.is_set():
                await asyncio.sleep(0.01)
            await catalog.close()

    asyncio.run(play())


def test_a_load_that_takes_for_ever_is_refused_and_the_next_one_has_its_turn(
    repository: Path, hang: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.catalog.loading._LONGEST_LOAD_S", 0.05)
    monkeypatch.setattr("app.catalog.loading.PATIENCE_S", 0.05)
    tried: list[str] = []

    async def load(folder: Path, settings: Settings, *, in_thread: Any, **options: Any) -> LoadedModel:
        tried.append(folder.parent.name)
        await in_thread(hang.wait)
        raise AssertionError

    async def play() -> None:
        catalog = Catalog(Settings(repository=repository), load)
        catalog.start([Look(name, available=(1,), wanted=(1,)) for name in ("dead", "tiny")])
        await catalog.wait_until_tried()
        assert tried == ["dead", "tiny"]
        (version,) = catalog.versions("dead")
        assert (version.state, version.reason.rpartition("dead/1 ")[2]) == (
            "refused",
            "can't be read (it takes too long)",
        )
        await catalog.close()

    asyncio.run(play())
