import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from app.errors import LoadRefused, UnknownModel, WorkerFailed
from app.workers.channel import Channel, Handlers, open_channel


def with_channels(scene: Callable[[Channel, Channel], Awaitable[None]], ours: Handlers, theirs: Handlers) -> None:
    async def play() -> None:
        left, right = socket.socketpair()
        ends = await open_channel(left, ours), await open_channel(right, theirs)
        serving = [asyncio.create_task(end.run()) for end in ends]
        await scene(*ends)
        for end in ends:
            end.close()
        await asyncio.gather(*serving, return_exceptions=True)

    asyncio.run(play())


async def double(number: int) -> int:
    return 2 * number


async def refuse() -> None:
    raise LoadRefused("the old one serves on")


async def break_down() -> None:
    raise ZeroDivisionError


def test_both_ends_call_each_other_at_once() -> None:
    async def scene(ours: Channel, theirs: Channel) -> None:
        calls = [end.call("double", number=n) for n in range(20) for end in (ours, theirs)]
        assert await asyncio.gather(*calls) == [2 * n for n in range(20) for _ in range(2)]

    with_channels(scene, {"double": double}, {"double": double})


def test_a_handler_may_call_back_before_it_answers() -> None:
    ends: list[Channel] = []

    async def ask_back(number: int) -> int:
        return int(await ends[1].call("double", number=number)) + 1

    async def scene(ours: Channel, theirs: Channel) -> None:
        ends.extend((ours, theirs))
        assert await ours.call("ask_back", number=4) == 9

    with_channels(scene, {"double": double}, {"ask_back": ask_back})


def test_errors_come_back_as_themselves_and_defects_as_a_failed_worker() -> None:
    async def unknown(name: str) -> None:
        raise UnknownModel(f"no {name}")

    async def scene(ours: Channel, theirs: Channel) -> None:
        with pytest.raises(LoadRefused, match="the old one serves on"):
            await ours.call("refuse")
        with pytest.raises(UnknownModel, match="no x"):
            await ours.call("unknown", name="x")
        with pytest.raises(WorkerFailed, match="ZeroDivisionError"):
            await ours.call("break_down")
        with pytest.raises(WorkerFailed):
            await ours.call("no such method")

    with_channels(scene, {}, {"refuse": refuse, "unknown": unknown, "break_down": break_down})


def test_a_call_to_an_end_that_went_away_fails_instead_of_waiting() -> None:
    async def never() -> Any:
        await asyncio.Event().wait()

    async def scene(ours: Channel, theirs: Channel) -> None:
        waiting = asyncio.create_task(ours.call("never"))
        await asyncio.sleep(0)
        theirs.close()
        with pytest.raises(WorkerFailed, match="has ended"):
            await waiting
        with pytest.raises(WorkerFailed):
            await ours.call("never")

    with_channels(scene, {}, {"never": never})
