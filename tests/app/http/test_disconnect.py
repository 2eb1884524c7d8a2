"""Work that ends with its client."""

import asyncio

import pytest
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message

from app.http.disconnect import run_while_connected


class Client:
    """The other end of a connection whose body was read."""

    def __init__(self) -> None:
        self.gone = asyncio.Event()
        self.asked = asyncio.Event()
        self.request = Request({"type": "http"}, self._receive)

    async def _receive(self) -> Message:
        self.asked.set()
        await self.gone.wait()
        return {"type": "http.disconnect"}


class Work:
    """Ends when it is told to."""

    def __init__(self) -> None:
        self.told = asyncio.Event()
        self.canceled = False

    async def run(self) -> str:
        try:
            await self.told.wait()
        except asyncio.CancelledError:
            self.canceled = True
            raise
        return "done"


def test_an_answer_that_comes_soon_is_given_without_asking_for_the_client() -> None:
    async def scene() -> None:
        client, work = Client(), Work()
        work.told.set()
        assert await run_while_connected(client.request, work.run()) == "done"
        assert not client.asked.is_set()

    asyncio.run(scene())


def test_an_answer_that_comes_late_is_given_to_a_client_that_waits() -> None:
    async def scene() -> None:
        client, work = Client(), Work()
        running = asyncio.create_task(run_while_connected(client.request, work.run()))
        await client.asked.wait()
        work.told.set()
        assert await running == "done"
        assert asyncio.all_tasks() == {asyncio.current_task()}  # nobody watches any more

    asyncio.run(scene())


def test_work_ends_with_its_client_and_its_task_goes_on() -> None:
    async def scene() -> None:
        client, work = Client(), Work()
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().call_soon(client.gone.set)
        with pytest.raises(ClientDisconnect):
            await run_while_connected(client.request, work.run())
        assert work.canceled
        assert not task.cancelling()
        await asyncio.sleep(0)

    asyncio.run(scene())


def test_a_task_that_somebody_else_cancels_stays_canceled() -> None:
    async def scene() -> None:
        client, work = Client(), Work()
        running = asyncio.create_task(run_while_connected(client.request, work.run()))
        await client.asked.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert work.canceled

    asyncio.run(scene())
