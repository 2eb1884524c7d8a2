"""Whatever the sizes, delays, cancellations and failures: every request gets exactly its own rows, once."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from app.batching.batcher import Batcher
from app.batching.entry import RowResult
from app.batching.fair_queue import DEFAULT_CLASS, QueueClass, get_queue_class
from app.errors import DeadlineExceeded, Overloaded, RowFailed, TooManyRows


@dataclass(frozen=True)
class Row:
    """A row that knows whose it is, and whether it breaks the batch that it is in."""

    request: int
    place: int
    is_bad: bool


@dataclass(frozen=True)
class Request:
    bad: tuple[bool, ...]
    decode_turns: tuple[int, ...]
    """Turns of the loop that each row needs to be decoded."""
    cancel_after: int | None
    """Turns after which the client goes away."""
    expires: bool
    queue_class: QueueClass


def requests() -> st.SearchStrategy[Request]:
    def build(size: int) -> st.SearchStrategy[Request]:
        return st.builds(
            Request,
            bad=st.tuples(*[st.sampled_from([False] * 7 + [True])] * size),
            decode_turns=st.tuples(*[st.integers(0, 5)] * size),
            cancel_after=st.one_of(st.none(), st.none(), st.integers(0, 12)),
            expires=st.sampled_from([False, False, False, True]),
            queue_class=st.sampled_from(
                [DEFAULT_CLASS, DEFAULT_CLASS, get_queue_class(1, ""), get_queue_class(2, "a"), get_queue_class(3, "a")]
            ),
        )

    return st.integers(1, 9).flatmap(build)


class Runner:
    """Answers each row with itself, after a moment; counts how often each row was answered."""

    def __init__(self, seed: int) -> None:
        self.answered: Counter[Row] = Counter()
        self.largest = 0
        self._random = random.Random(seed)

    def __call__(self, rows: Sequence[Row]) -> list[Row]:
        self.largest = max(self.largest, len(rows))
        time.sleep(self._random.choice([0, 0, 1e-4]))
        if any(row.is_bad for row in rows):
            raise ArithmeticError("a bad row")
        self.answered.update(rows)
        return list(rows)


async def send(batcher: Batcher[Row, Row], number: int, request: Request) -> list[RowResult[Row] | BaseException]:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + (0 if request.expires else 60)

    async def one(place: int) -> RowResult[Row]:
        for _ in range(request.decode_turns[place]):
            await asyncio.sleep(0)
        return await places.run(Row(number, place, request.bad[place]))

    with batcher.reserve(len(request.bad), deadline, request.queue_class) as places:
        return await asyncio.gather(*map(one, range(len(request.bad))), return_exceptions=True)


async def play(scene: list[Request], runners: int, batch: int, queue: int, seed: int) -> None:
    machines = [Runner(seed + index) for index in range(runners)]
    batcher: Batcher[Row, Row] = Batcher(machines, max_batch_size=batch, max_queue_rows=queue)
    tasks = [asyncio.create_task(send(batcher, number, request)) for number, request in enumerate(scene)]
    for turn in range(13):
        for task, request in zip(tasks, scene, strict=True):
            if request.cancel_after == turn:
                task.cancel()
        await asyncio.sleep(0)
    answers = await asyncio.gather(*tasks, return_exceptions=True)

    for number, (request, answer) in enumerate(zip(scene, answers, strict=True)):
        if isinstance(answer, BaseException):
            canceled = isinstance(answer, asyncio.CancelledError) and request.cancel_after is not None
            too_many = isinstance(answer, TooManyRows) and len(request.bad) > queue
            assert canceled or too_many or isinstance(answer, Overloaded)
            continue
        assert len(answer) == len(request.bad)
        for place, (bad, result) in enumerate(zip(request.bad, answer, strict=True)):
            if isinstance(result, RowResult):
                assert result.output == Row(number, place, False)
                assert 1 <= result.batch_size <= batch
            elif request.expires:
                assert isinstance(result, DeadlineExceeded) or (bad and isinstance(result, RowFailed))
            else:
                assert bad
                assert isinstance(result, RowFailed)
    answered = sum((machine.answered for machine in machines), Counter())
    assert set(answered.values()) <= {1}, "no row runs twice"
    assert max(machine.largest for machine in machines) <= batch
    assert batcher.queue_rows == 0
    for request in scene:
        batcher.check_room(queue, 60, request.queue_class)
    await asyncio.wait_for(batcher.close(), 30)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    scene=st.lists(requests(), min_size=1, max_size=12),
    runners=st.integers(1, 3),
    batch=st.integers(1, 8),
    queue=st.integers(4, 64),
    seed=st.integers(0, 1000),
)
def test_every_request_gets_exactly_its_own_rows_once(
    scene: list[Request], runners: int, batch: int, queue: int, seed: int
) -> None:
    asyncio.run(play(scene, runners, batch, queue, seed))
