import asyncio
from collections.abc import Iterator
from contextvars import ContextVar

from app.batching.fair_queue import DEFAULT_CLASS, HIGHEST, NORMAL, get_queue_class
from app.batching.sliced_work import SlicedWork


def work(name: str, slices: int, done: list[str]) -> Iterator[None]:
    for number in range(slices):
        done.append(f"{name}{number}")
        yield


def test_one_slice_is_done_per_turn_and_one_request_after_the_other() -> None:
    async def scene() -> None:
        sliced_work, done = SlicedWork(), list[str]()
        sliced_work.begin(work("a", 2, done), DEFAULT_CLASS)
        sliced_work.begin(work("b", 2, done), DEFAULT_CLASS)
        assert done == []
        for expected in (["a0"], ["a0", "a1"]):
            await asyncio.sleep(0)
            assert done == expected
        for _ in range(10):
            await asyncio.sleep(0)
        assert done == ["a0", "a1", "b0", "b1"]

    asyncio.run(scene())


def test_another_sender_and_a_higher_priority_come_in_between() -> None:
    async def scene() -> None:
        sliced_work, done = SlicedWork(), list[str]()
        for name in "ab":
            sliced_work.begin(work(name, 3, done), get_queue_class(NORMAL, "bulk"))
        await asyncio.sleep(0)
        sliced_work.begin(work("c", 1, done), get_queue_class(NORMAL, "other"))
        sliced_work.begin(work("d", 2, done), get_queue_class(HIGHEST, "bulk"))
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
        sliced_work, done = SlicedWork(), list[str]()
        for one in "ab":
            name.set(one)
            sliced_work.begin(note(done), DEFAULT_CLASS)
        sliced_work.begin(fail(), DEFAULT_CLASS)
        name.set("c")
        sliced_work.begin(note(done), DEFAULT_CLASS)
        for _ in range(20):
            await asyncio.sleep(0)
        assert done == ["a", "a", "b", "b", "c", "c"]
        assert [str(error) for error in told] == ["no"]

    asyncio.run(scene())
