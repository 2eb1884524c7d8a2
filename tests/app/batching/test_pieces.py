import asyncio
from collections.abc import Iterator
from contextvars import ContextVar

from app.batching.fair_queue import DEFAULT_CLASS, HIGHEST, NORMAL, get_queue_class
from app.batching.pieces import Pieces


def work(name: str, pieces: int, done: list[str]) -> Iterator[None]:
    for piece in range(pieces):
        done.append(f"{name}{piece}")
        yield


def test_one_piece_is_done_a_turn_and_one_request_after_the_other() -> None:
    async def scene() -> None:
        pieces, done = Pieces(), list[str]()
        pieces.begin(work("a", 2, done), DEFAULT_CLASS)
        pieces.begin(work("b", 2, done), DEFAULT_CLASS)
        assert done == []
        for expected in (["a0"], ["a0", "a1"]):
            await asyncio.sleep(0)
            assert done == expected
        for _ in range(10):
            await asyncio.sleep(0)
        assert done == ["a0", "a1", "b0", "b1"]

    asyncio.run(scene())


def test_another_sender_and_a_higher_class_come_in_between() -> None:
    async def scene() -> None:
        pieces, done = Pieces(), list[str]()
        for name in "ab":
            pieces.begin(work(name, 3, done), get_queue_class(NORMAL, "bulk"))
        await asyncio.sleep(0)
        pieces.begin(work("c", 1, done), get_queue_class(NORMAL, "other"))
        pieces.begin(work("d", 2, done), get_queue_class(HIGHEST, "bulk"))
        for _ in range(20):
            await asyncio.sleep(0)
        assert done == ["a0", "d0", "d1", "c0", "a1", "a2", "b0", "b1", "b2"]

    asyncio.run(scene())


def test_work_that_goes_wrong_is_told_and_the_others_go_on_each_in_its_own_context() -> None:
    name: ContextVar[str] = ContextVar("name")

    def note(done: list[str]) -> Iterator[None]:
        for _ in range(2):
            done.append(name.get())
            yield

    def fail() -> Iterator[None]:
        raise OSError("no")
        yield

    async def scene() -> None:
        told: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context["exception"]))
        pieces, done = Pieces(), list[str]()
        for one in "ab":
            name.set(one)
            pieces.begin(note(done), DEFAULT_CLASS)
        pieces.begin(fail(), DEFAULT_CLASS)
        name.set("c")
        pieces.begin(note(done), DEFAULT_CLASS)
        for _ in range(20):
            await asyncio.sleep(0)
        assert done == ["a", "a", "b", "b", "c", "c"]
        assert [str(error) for error in told] == ["no"]

    asyncio.run(scene())
