import asyncio
from collections.abc import Awaitable, Callable

import pytest

from app.catalog.background import Background


def with_background(scene: Callable[[Background], Awaitable[None]]) -> None:
    async def play() -> None:
        background = Background()
        await scene(background)
        await background.close()

    asyncio.run(play())


def test_what_repeats_outlives_whatever_it_raises_and_says_it_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.catalog.background._PAUSE_AFTER_FAILURE_S", 0)
    errors: list[Exception | None] = [OSError(116, "Stale file handle")] * 3 + [None, OSError(116, "Stale file handle")]
    done = asyncio.Event()

    async def step() -> None:
        if not errors:
            done.set()
        elif (error := errors.pop(0)) is not None:
            raise error

    async def scene(background: Background) -> None:
        background.repeat("watching", step)
        await asyncio.wait_for(done.wait(), 30)
        assert [record.getMessage() for record in caplog.records] == ["watching failed and is tried again"] * 2

    with_background(scene)


def test_what_runs_once_and_fails_is_said(caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> None:
        raise ZeroDivisionError

    async def scene(background: Background) -> None:
        background.start("draining tiny", fail())
        await background.settle()
        (record,) = caplog.records
        assert record.getMessage() == "draining tiny failed"
        assert record.exc_info

    with_background(scene)


def test_closing_ends_what_repeats() -> None:
    async def scene(background: Background) -> None:
        task = background.repeat("nothing", lambda: asyncio.sleep(0))
        await background.close()
        assert task.cancelled()

    with_background(scene)
