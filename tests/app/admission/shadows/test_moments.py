"""When a process has nothing to do: a catalog of batchers that the test keeps busy."""

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from app.admission.shadows.moments import CALM_S, IdleMoments
from app.batching.batcher import Batcher


def double(rows: Sequence[int]) -> list[int]:
    return [2 * row for row in rows]


class Machine:
    """Whether there are cores to spare, as the test says."""

    wait_s = 0.0

    def __init__(self) -> None:
        self.is_free, self.asked = True, asyncio.Event()

    def is_there(self) -> bool:
        self.asked.set()
        return self.is_free


class Idle:
    """A catalog of two models, whose moments are told."""

    def __init__(self) -> None:
        self.batchers: list[Batcher[int, int]] = [
            Batcher([double], max_batch_size=4, max_queue_rows=8, inline=inline) for inline in (True, False)
        ]
        self.came, self.machine = asyncio.Event(), Machine()
        self.moments = IdleMoments(self, self.came.set, self.machine)  # type: ignore[arg-type]

    def loaded(self) -> list[Any]:
        return [SimpleNamespace(batcher=batcher) for batcher in self.batchers]

    async def close(self) -> None:
        for batcher in self.batchers:
            await batcher.close()


def test_a_moment_comes_once_no_model_has_anything_to_do() -> None:
    async def scene() -> None:
        idle = Idle()
        places = idle.batchers[1].reserve(1, asyncio.get_running_loop().time() + 60)
        idle.moments.wait()
        await idle.machine.asked.wait()
        idle.machine.asked.clear()
        assert not idle.came.is_set()
        places.release()
        await asyncio.wait_for(idle.came.wait(), 30)
        assert idle.machine.asked.is_set(), "by then all is looked at again"
        await idle.close()

    asyncio.run(scene())


def test_a_moment_comes_once_there_are_cores_to_spare() -> None:
    async def scene() -> None:
        idle = Idle()
        idle.machine.is_free = False
        idle.moments.wait()
        for _ in range(3):
            idle.machine.asked.clear()
            await idle.machine.asked.wait()
        assert not idle.came.is_set()
        idle.machine.is_free = True
        await asyncio.wait_for(idle.came.wait(), 30)
        await idle.close()

    asyncio.run(scene())


def test_each_wait_is_for_one_moment_which_comes_no_sooner_than_it_is_calm() -> None:
    async def scene() -> None:
        idle, loop = Idle(), asyncio.get_running_loop()
        for _ in "ab":
            idle.batchers[0].last_busy = loop.time() + 0.01
            idle.moments.wait()
            idle.moments.wait()
            await asyncio.wait_for(idle.came.wait(), 30)
            assert loop.time() >= idle.batchers[0].last_busy + CALM_S
            idle.came.clear()
        await asyncio.sleep(0)
        assert not idle.came.is_set()
        await idle.close()

    asyncio.run(scene())


def test_a_moment_goes_on_at_once_unless_somebody_came() -> None:
    async def scene() -> None:
        idle, loop = Idle(), asyncio.get_running_loop()
        idle.batchers[0].last_busy = loop.time() + 3_600  # for which another moment would wait
        idle.moments.go_on()
        await asyncio.wait_for(idle.came.wait(), 30)
        idle.came.clear()
        places = idle.batchers[0].reserve(1, loop.time() + 60)
        idle.moments.go_on()
        idle.machine.asked.clear()
        await idle.machine.asked.wait()
        assert not idle.came.is_set()
        places.release()
        await asyncio.wait_for(idle.came.wait(), 30)
        await idle.close()

    asyncio.run(scene())
