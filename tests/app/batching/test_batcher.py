"""The Batcher as a specification: what happens to a row, whatever happens around it. Runners are plain functions."""

import asyncio
import threading
from collections.abc import Callable, Sequence

import pytest

from app.batching.batcher import Batcher
from app.batching.cost import Pace
from app.batching.entry import RowResult
from app.batching.fair_queue import DEFAULT_CLASS, HIGHEST, NORMAL, QueueClass, get_queue_class
from app.errors import DeadlineExceeded, DeviceFailed, Draining, Overloaded, RowFailed, TooManyRows

FOREVER = 1e9


class GatedRunner:
    """Doubles numbers, but only after the test opened the gate; remembers the batches that it was given."""

    def __init__(self, *, is_open: bool = True) -> None:
        self.batches: list[list[int]] = []
        self.entered = threading.Semaphore(0)
        self.gate = threading.Event()
        if is_open:
            self.gate.set()

    def __call__(self, rows: Sequence[int]) -> list[int]:
        self.batches.append(list(rows))
        self.entered.release()
        assert self.gate.wait(30)
        return [2 * row for row in rows]

    async def wait_until_entered(self) -> None:
        await asyncio.to_thread(self.entered.acquire)


def make_batcher(*runners: object, **options: object) -> Batcher[int, int]:
    return Batcher(runners, **{"max_batch_size": 4, "max_queue_rows": 16, **options})  # type: ignore[arg-type]


async def run_rows(
    batcher: Batcher[int, int], rows: Sequence[int], deadline: float = FOREVER, queue_class: QueueClass = DEFAULT_CLASS
) -> list[RowResult[int]]:
    with batcher.reserve(len(rows), deadline, queue_class) as places:
        return await asyncio.gather(*(places.run(row) for row in rows))


def start(
    batcher: Batcher[int, int], *rows: int, deadline: float = FOREVER, queue_class: QueueClass = DEFAULT_CLASS
) -> asyncio.Task[list[RowResult[int]]]:
    return asyncio.create_task(run_rows(batcher, rows, deadline, queue_class))


def outputs(results: list[RowResult[int]]) -> list[int]:
    return [result.output for result in results]


def note_errors() -> list[object]:
    """What the running loop's exception handler is told from now on."""
    reported: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context["exception"]))
    return reported


async def turn_the_loop() -> None:
    """Let everything that is ready run: a few turns, no time."""
    for _ in range(10):
        await asyncio.sleep(0)


def test_an_idle_runner_starts_with_a_single_row_at_once() -> None:
    async def scene() -> None:
        (result,) = await run_rows(make_batcher(GatedRunner()), [21])
        assert result.output == 42
        assert result.batch_size == 1
        assert result.queue_s >= 0
        assert result.infer_s > 0

    asyncio.run(scene())


def test_rows_of_many_requests_gather_while_the_runner_is_busy() -> None:
    async def scene() -> None:
        runner = GatedRunner(is_open=False)
        batcher = make_batcher(runner)
        first = start(batcher, 1)
        await runner.wait_until_entered()
        others = [start(batcher, 10), start(batcher, 20, 21), start(batcher, 30)]
        await turn_the_loop()
        runner.gate.set()
        assert outputs(await first) == [2]
        assert [outputs(await other) for other in others] == [[20], [40, 42], [60]]
        assert runner.batches == [[1], [10, 20, 21, 30]]

    asyncio.run(scene())


def test_a_large_request_is_split_and_keeps_its_order() -> None:
    async def scene() -> None:
        runner = GatedRunner()
        results = await run_rows(make_batcher(runner), list(range(11)))
        assert outputs(results) == [2 * row for row in range(11)]
        assert [len(batch) for batch in runner.batches] == [4, 4, 3]

    asyncio.run(scene())


def test_one_canceled_client_leaves_its_batch_intact() -> None:
    async def scene() -> None:
        runner = GatedRunner(is_open=False)
        batcher = make_batcher(runner)
        busy = start(batcher, 0)
        await runner.wait_until_entered()
        staying, leaving, also_staying = start(batcher, 1), start(batcher, 2), start(batcher, 3)
        await turn_the_loop()
        leaving.cancel()
        await turn_the_loop()
        assert batcher.queue_rows == 2, "its place is free at once"
        runner.gate.set()
        assert outputs(await busy + await staying + await also_staying) == [0, 2, 6]
        assert runner.batches[1] == [1, 3], "its row was never run"

    asyncio.run(scene())


def test_a_client_canceled_while_its_row_runs_harms_nobody() -> None:
    async def scene() -> None:
        runner = GatedRunner(is_open=False)
        batcher = make_batcher(runner)
        leaving, staying = start(batcher, 1), start(batcher, 2)
        await runner.wait_until_entered()
        leaving.cancel()
        runner.gate.set()
        assert outputs(await staying) == [4]
        assert outputs(await run_rows(batcher, [3])) == [6]

    asyncio.run(scene())


def test_an_expired_row_leaves_the_queue_unrun() -> None:
    async def scene() -> None:
        runner = GatedRunner(is_open=False)
        batcher = make_batcher(runner)
        busy = start(batcher, 1)
        await runner.wait_until_entered()
        loop = asyncio.get_running_loop()
        expiring = start(batcher, 2, deadline=loop.time() + 0.01)
        in_time = start(batcher, 3)
        past = asyncio.Event()
        loop.call_later(0.02, past.set)
        await past.wait()
        runner.gate.set()
        with pytest.raises(DeadlineExceeded):
            await expiring
        assert outputs(await busy + await in_time) == [2, 6]
        assert runner.batches == [[1], [3]]

    asyncio.run(scene())


def test_a_full_queue_refuses_at_once_and_recovers() -> None:
    async def scene() -> None:
        runner = GatedRunner(is_open=False)
        batcher = make_batcher(runner, max_queue_rows=3)
        busy = start(batcher, 1)
        await runner.wait_until_entered()
        waiting = start(batcher, 2, 3, 4)
        await turn_the_loop()
        with pytest.raises(Overloaded) as refused:
            batcher.reserve(1, FOREVER)
        assert int(refused.value.headers["Retry-After"]) >= 1
        runner.gate.set()
        await busy
        await waiting
        assert outputs(await run_rows(batcher, [5])) == [10]

    asyncio.run(scene())


def test_places_reserved_for_decoding_count_as_queued_and_are_given_back() -> None:
    async def scene() -> None:
        batcher = make_batcher(GatedRunner(), max_queue_rows=3)
        with batcher.reserve(3, FOREVER), pytest.raises(Overloaded):
            batcher.reserve(1, FOREVER)
        assert batcher.queue_rows == 0
        batcher.reserve(3, FOREVER)

    asyncio.run(scene())


def test_more_rows_than_the_queue_can_ever_hold_are_too_many() -> None:
    async def scene() -> None:
        with pytest.raises(TooManyRows, match="max_queue_rows"):
            make_batcher(GatedRunner(), max_queue_rows=3).reserve(4, FOREVER)

    asyncio.run(scene())


def test_a_wait_beyond_the_deadline_is_refused_before_any_work() -> None:
    async def scene() -> None:
        runner = GatedRunner(is_open=False)
        batcher = make_batcher(runner, pace=Pace({1: 2.0, 4: 8.0}))
        busy = start(batcher, 1)
        await runner.wait_until_entered()
        deadline = asyncio.get_running_loop().time() + 3.5  # it would begin in time, and be answered too late
        with pytest.raises(Overloaded, match="answer may take 8,000 ms") as refused:
            batcher.reserve(1, deadline)
        assert refused.value.headers["Retry-After"] == "5"
        with pytest.raises(Overloaded, match="answer may take 8,000 ms"):
            batcher.check_room(1, 3)  # before the body is here
        batcher.check_room(1, 8.1)
        runner.gate.set()
        await busy

    asyncio.run(scene())


def test_a_failing_batch_is_halved_until_the_guilty_row_is_alone() -> None:
    async def scene() -> None:
        batches: list[list[int]] = []

        def run(rows: Sequence[int]) -> list[int]:
            batches.append(list(rows))
            if 13 in rows:
                raise ArithmeticError("thirteen")
            return [2 * row for row in rows]

        batcher = make_batcher(run)
        with batcher.reserve(4, FOREVER) as places:
            results = await asyncio.gather(*(places.run(row) for row in (1, 2, 13, 4)), return_exceptions=True)
        assert [result.output for result in results if isinstance(result, RowResult)] == [2, 4, 8]
        assert isinstance(results[2], RowFailed)
        assert batches == [[1, 2, 13, 4], [1, 2], [13, 4], [13], [4]]

    asyncio.run(scene())


def test_a_failed_device_is_not_bisected_and_fails_everything_that_waits() -> None:
    async def scene() -> None:
        runs, told = 0, []
        entered, gate = threading.Event(), threading.Event()

        def run(rows: Sequence[int]) -> list[int]:
            nonlocal runs
            runs += 1
            entered.set()
            assert gate.wait(30)
            raise DeviceFailed("the GPU fell off the bus")

        batcher = make_batcher(run, on_device_failure=told.append)
        running = start(batcher, 1, 2)
        await asyncio.to_thread(entered.wait)
        waiting = start(batcher, 3)
        await turn_the_loop()
        gate.set()
        for task in (running, waiting):
            with pytest.raises(DeviceFailed, match="fell off"):
                await task
        with pytest.raises(DeviceFailed):
            batcher.reserve(1, FOREVER)
        assert runs == 1
        assert len(told) == 1

    asyncio.run(scene())


def test_a_runner_that_loses_rows_is_a_failed_device() -> None:
    async def scene() -> None:
        with pytest.raises(DeviceFailed, match="1 results for 2 rows"):
            await run_rows(make_batcher(lambda rows: list(rows)[:1]), [1, 2])

    asyncio.run(scene())


def test_several_runners_share_one_queue() -> None:
    async def scene() -> None:
        one, two = GatedRunner(is_open=False), GatedRunner(is_open=False)
        batcher = make_batcher(one, two, max_batch_size=1)
        tasks = [start(batcher, row) for row in range(4)]
        await one.wait_until_entered()
        await two.wait_until_entered()
        one.gate.set()
        two.gate.set()
        assert [outputs(await task) for task in tasks] == [[0], [2], [4], [6]]
        assert sorted(row for batch in one.batches + two.batches for row in batch) == [0, 1, 2, 3]

    asyncio.run(scene())


def test_max_wait_lets_an_idle_runner_wait_for_a_full_batch() -> None:
    async def scene() -> None:
        runner = GatedRunner()
        batcher = make_batcher(runner, max_batch_size=2, max_wait_s=600.0)
        early = start(batcher, 1)
        await turn_the_loop()
        assert runner.batches == []
        late = start(batcher, 2)
        assert outputs(await early + await late) == [2, 4]
        assert runner.batches == [[1, 2]]

    asyncio.run(scene())


def test_max_wait_ends_with_the_clock_of_the_first_row() -> None:
    async def scene() -> None:
        runner = GatedRunner()
        batcher = make_batcher(runner, max_wait_s=0.01)
        assert outputs(await run_rows(batcher, [1])) == [2]
        assert runner.batches == [[1]]

    asyncio.run(scene())


def test_closing_finishes_what_was_accepted_and_refuses_the_rest() -> None:
    async def scene() -> None:
        runner = GatedRunner(is_open=False)
        batcher = make_batcher(runner)
        accepted = [start(batcher, 1), start(batcher, 2, 3)]
        decoding = batcher.reserve(1, FOREVER)
        await runner.wait_until_entered()
        closing = asyncio.create_task(batcher.close())
        await turn_the_loop()
        with pytest.raises(Draining):
            batcher.reserve(1, FOREVER)
        assert not closing.done()
        runner.gate.set()
        with decoding:
            assert (await decoding.run(4)).output == 8
        assert [outputs(await task) for task in accepted] == [[2], [4, 6]]
        await closing

    asyncio.run(scene())


def test_more_rows_than_reserved_are_a_mistake_of_the_caller() -> None:
    async def scene() -> None:
        batcher = make_batcher(GatedRunner())
        with batcher.reserve(1, FOREVER) as places:
            await places.run(1)
            with pytest.raises(ValueError, match="reserved"):
                await places.run(2)

    asyncio.run(scene())


def submit(batcher: Batcher[int, int], row: int, settled: list[RowResult[int] | Exception]) -> None:
    batcher.reserve(1, FOREVER).submit(row, settled.append)


def test_inline_all_rows_of_a_turn_travel_together_on_the_loop_itself() -> None:
    async def scene() -> None:
        threads: set[int] = set()
        settled: list[RowResult[int] | Exception] = []

        def runner(rows: Sequence[int]) -> list[int]:
            threads.add(threading.get_ident())
            return [2 * row for row in rows]

        batcher = make_batcher(runner, inline=True)
        for row in (1, 2, 3):
            submit(batcher, row, settled)
        assert settled == []
        await turn_the_loop()
        assert [(r.output, r.batch_size) for r in settled if isinstance(r, RowResult)] == [(2, 3), (4, 3), (6, 3)]
        assert threads == {threading.get_ident()}
        await batcher.close()

    asyncio.run(scene())


def test_inline_more_rows_than_the_queue_holds_run_as_they_come() -> None:
    async def scene() -> None:
        runner = GatedRunner()
        batcher = make_batcher(runner, inline=True, max_queue_rows=5)
        settled: list[RowResult[int] | Exception] = []
        for row in range(10):
            submit(batcher, row, settled)
        await turn_the_loop()
        assert [r.output for r in settled if isinstance(r, RowResult)] == [2 * row for row in range(10)]
        assert runner.batches == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]

    asyncio.run(scene())


def test_inline_a_row_that_no_other_can_join_runs_at_once() -> None:
    async def scene() -> None:
        batcher = make_batcher(GatedRunner(), inline=True)
        settled: list[RowResult[int] | Exception] = []
        submit(batcher, 1, settled)
        batcher.reserve(1, FOREVER).submit(2, settled.append, at_once=True)
        assert [(r.output, r.batch_size) for r in settled if isinstance(r, RowResult)] == [(2, 2), (4, 2)]
        await batcher.close()

    asyncio.run(scene())


@pytest.mark.parametrize("inline", [True, False])
def test_an_answer_that_goes_wrong_takes_no_other_with_it(inline: bool) -> None:
    async def scene() -> None:
        reported = note_errors()
        batcher = make_batcher(GatedRunner(), inline=inline)
        settled: list[RowResult[int] | Exception] = []
        wrong = OSError("the answer can't be written")

        def fail(_: RowResult[int] | Exception) -> None:
            raise wrong

        batcher.reserve(1, FOREVER).submit(1, fail)
        submit(batcher, 2, settled)
        while not settled:
            await asyncio.sleep(0.001)
        assert [r.output for r in settled if isinstance(r, RowResult)] == [4]
        assert reported == [wrong]
        await batcher.close()

    asyncio.run(scene())


@pytest.mark.parametrize("inline", [True, False])
def test_what_is_to_be_done_afterwards_waits_until_every_row_of_the_batch_was_told(inline: bool) -> None:
    async def scene() -> None:
        reported = note_errors()
        batcher = make_batcher(GatedRunner(), inline=inline)
        happened: list[str] = []
        wrong = OSError("the answer can't be sent")

        def fail() -> None:
            raise wrong

        def settle(name: str, call: Callable[[], object]) -> Callable[[object], None]:
            def told(_: object) -> None:
                happened.append(f"{name} is told")
                batcher.delivery.do_afterwards(call)

            return told

        places = batcher.reserve(3, FOREVER)
        places.submit(1, settle("first", lambda: happened.append("first is sent")))
        places.submit(2, settle("second", fail))
        places.submit(3, settle("third", lambda: happened.append("third is sent")))
        await batcher.close()
        assert happened == ["first is told", "second is told", "third is told", "first is sent", "third is sent"]
        assert reported == [wrong]

    asyncio.run(scene())


@pytest.mark.parametrize("inline", [True, False])
def test_an_abandoned_row_is_not_run(inline: bool) -> None:
    async def scene() -> None:
        runner = GatedRunner()
        batcher = make_batcher(runner, inline=inline)
        settled: list[RowResult[int] | Exception] = []
        places = batcher.reserve(2, FOREVER)
        places.abandon(places.submit(1, settled.append))
        places.submit(2, settled.append)
        await batcher.close()
        assert runner.batches == [[2]]
        assert len(settled) == 1

    asyncio.run(scene())


def test_idle_runners_share_the_rows_that_wait() -> None:
    async def scene() -> None:
        one, two = GatedRunner(), GatedRunner()
        batcher = make_batcher(one, two)
        assert outputs(await run_rows(batcher, [1, 2, 3])) == [2, 4, 6]
        assert sorted(map(len, one.batches + two.batches)) == [1, 2]

    asyncio.run(scene())


async def ask_again(batcher: Batcher[int, int], *rows: int) -> list[asyncio.Task[list[RowResult[int]]]]:
    """Each in a turn of the loop of its own."""
    tasks = []
    for row in rows:
        tasks.append(start(batcher, row))
        await turn_the_loop()
    return tasks


def test_clients_that_ask_again_at_once_travel_together() -> None:
    async def scene() -> None:
        runner = GatedRunner()
        batcher = make_batcher(runner, patience_s=FOREVER)
        for rows in ([1, 2, 3], [4, 5, 6]):
            await run_rows(batcher, rows)
        again = await ask_again(batcher, 7, 8, 9)
        assert [outputs(await task) for task in again] == [[14], [16], [18]]
        assert runner.batches == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]

    asyncio.run(scene())


@pytest.mark.parametrize("patience_s", [0.0, 0.02])
def test_clients_that_come_too_late_are_not_waited_for(patience_s: float) -> None:
    async def scene() -> None:
        runner = GatedRunner()
        batcher = make_batcher(runner, patience_s=patience_s)
        for rows in ([1, 2, 3], [4, 5, 6], [7]):  # two of three stay away
            assert outputs(await run_rows(batcher, rows)) == [2 * row for row in rows]
        await asyncio.sleep(2 * patience_s)
        for task in await ask_again(batcher, 8, 9):
            await task
        assert runner.batches == [[1, 2, 3], [4, 5, 6], [7], [8], [9]]

    asyncio.run(scene())


def test_nobody_is_waited_for_where_one_client_asks_again_and_again() -> None:
    async def scene() -> None:
        runner = GatedRunner()
        batcher = make_batcher(runner, patience_s=FOREVER)
        for row in range(3):
            assert outputs(await run_rows(batcher, [row])) == [2 * row]
        assert runner.batches == [[0], [1], [2]]

    asyncio.run(scene())


def test_closing_waits_for_no_client() -> None:
    async def scene() -> None:
        batcher = make_batcher(GatedRunner(), patience_s=FOREVER)
        for rows in ([1, 2], [3, 4]):
            await run_rows(batcher, rows)
        last = start(batcher, 5)
        await turn_the_loop()
        assert batcher.waiting_rows == 1
        await batcher.close()
        assert outputs(await last) == [10]

    asyncio.run(scene())


def test_among_clients_that_ask_again_at_once_a_runner_leaves_the_others_their_part() -> None:
    async def scene() -> None:
        runners = [GatedRunner(), GatedRunner()]
        batcher = make_batcher(*runners, patience_s=FOREVER)
        for row in (1, 2):
            await run_rows(batcher, [row])
        for runner in runners:
            runner.gate.clear()
        tasks = [start(batcher, 3)]
        await turn_the_loop()
        tasks += [start(batcher, row) for row in (4, 5, 6)]
        await turn_the_loop()
        assert batcher.waiting_rows == 1, "four rows for two runners are two for each"
        for runner in runners:
            runner.gate.set()
        await batcher.close()
        assert [outputs(await task) for task in tasks] == [[6], [8], [10], [12]]

    asyncio.run(scene())


def test_a_full_batch_is_handed_over_while_all_runners_are_busy_and_only_one() -> None:
    async def scene() -> None:
        runner = GatedRunner(is_open=False)
        batcher = make_batcher(runner, max_batch_size=2)
        first = start(batcher, 1)
        await runner.wait_until_entered()
        second = start(batcher, 2)
        await turn_the_loop()
        assert batcher.waiting_rows == 1, "it is not full yet"
        others = start(batcher, 3, 4, 5)
        await turn_the_loop()
        assert batcher.waiting_rows == 2, "they could fill a batch, but one waits for the runner already"
        runner.gate.set()
        assert outputs(await first + await second + await others) == [2, 4, 6, 8, 10]
        assert runner.batches == [[1], [2, 3], [4, 5]]
        await batcher.close()

    asyncio.run(scene())


def test_a_batch_that_was_handed_over_goes_to_the_first_runner_that_is_free() -> None:
    async def scene() -> None:
        slow, quick = GatedRunner(is_open=False), GatedRunner(is_open=False)
        batcher = make_batcher(slow, quick, max_batch_size=1)
        both = start(batcher, 1, 2)
        await slow.wait_until_entered()
        await quick.wait_until_entered()
        third = start(batcher, 3)
        await turn_the_loop()
        assert batcher.waiting_rows == 0
        quick.gate.set()
        (result,) = await third
        assert (result.output, quick.batches[1:]) == (6, [[3]])
        assert result.queue_s > 0, "it waited for the runner, too"
        slow.gate.set()
        await both
        await batcher.close()

    asyncio.run(scene())


def test_each_runner_stays_in_one_thread() -> None:
    async def scene() -> None:
        threads: dict[str, set[int]] = {"one": set(), "two": set()}
        both_began = threading.Barrier(2)

        def make_runner(name: str) -> Callable[[Sequence[int]], list[int]]:
            def runner(rows: Sequence[int]) -> list[int]:
                if not threads[name]:
                    both_began.wait(30)
                threads[name].add(threading.get_ident())
                return list(rows)

            return runner

        batcher = make_batcher(make_runner("one"), make_runner("two"), max_batch_size=1, max_queue_rows=50)
        assert outputs(await run_rows(batcher, range(50))) == list(range(50))
        await batcher.close()
        one, two = threads.values()
        assert len(one) == len(two) == 1
        assert one != two

    asyncio.run(scene())


def test_runners_threads_are_lent_while_one_is_idle_for_each_row_that_is_decoded() -> None:
    async def scene() -> None:
        runner = GatedRunner(is_open=False)
        batcher = make_batcher(runner, runner, max_batch_size=1, lend_threads=True)
        first = batcher.reserve(1, FOREVER)
        second = batcher.reserve(1, FOREVER)
        assert batcher.idle_threads is not None
        third = batcher.reserve(1, FOREVER)
        assert batcher.idle_threads is None, "three rows and two runners"
        third.release()
        answered = asyncio.create_task(first.run(1))
        await runner.wait_until_entered()
        assert batcher.idle_threads is not None, "one runs, one is decoded"
        fourth = batcher.reserve(1, FOREVER)
        assert batcher.idle_threads is None
        runner.gate.set()
        assert (await answered).output == 2
        second.release()
        fourth.release()
        await batcher.close()

    asyncio.run(scene())


def test_inline_no_threads_are_lent() -> None:
    async def scene() -> None:
        batcher = make_batcher(GatedRunner(), inline=True, lend_threads=True)
        with batcher.reserve(1, FOREVER):
            assert batcher.idle_threads is None

    asyncio.run(scene())


def test_a_batch_that_is_alone_gets_the_whole_machine_and_others_a_part() -> None:
    async def scene() -> None:
        part, whole = GatedRunner(is_open=False), GatedRunner()
        batcher = make_batcher(part, part, alone=whole, max_batch_size=1)
        assert outputs(await run_rows(batcher, [1])) == [2]
        assert (whole.batches, part.batches) == ([[1]], [])
        whole.gate.clear()
        first = start(batcher, 2)
        await whole.wait_until_entered()
        await whole.wait_until_entered()
        second = start(batcher, 3)
        await part.wait_until_entered()
        part.gate.set()
        whole.gate.set()
        assert outputs(await first + await second) == [4, 6]
        assert (whole.batches, part.batches) == ([[1], [2]], [[3]])
        assert outputs(await run_rows(batcher, [4, 5])) == [8, 10]  # two at once: neither is alone
        assert sorted(row for batch in part.batches for row in batch)[0] == 3
        for row in (6, 7):
            await run_rows(batcher, [row])
        assert part.batches[-1] == [6], "two came together just now, so another may be on its way"
        assert whole.batches[-1] == [7]

    asyncio.run(scene())


URGENT, BULK, OTHER = get_queue_class(HIGHEST, ""), get_queue_class(NORMAL, "bulk"), get_queue_class(NORMAL, "other")


@pytest.mark.parametrize("queue_class", [URGENT, OTHER])
def test_a_batch_that_was_handed_over_is_made_anew_for_somebody_else(queue_class: QueueClass) -> None:
    async def scene() -> None:
        runner = GatedRunner(is_open=False)
        batcher = make_batcher(runner)
        bulk = [start(batcher, *range(4), queue_class=BULK), start(batcher, *range(10, 16), queue_class=BULK)]
        await runner.wait_until_entered()
        await turn_the_loop()
        assert batcher.waiting_rows == 2, "four run, and four are handed over"
        single = start(batcher, 99, queue_class=queue_class)
        await turn_the_loop()
        assert batcher.waiting_rows == 3
        runner.gate.set()
        assert outputs(await single) == [198]
        assert [outputs(await rows) for rows in bulk] == [[0, 2, 4, 6], [20, 22, 24, 26, 28, 30]]
        assert runner.batches == [[0, 1, 2, 3], [99, 10, 11, 12], [13, 14, 15]]
        await batcher.close()
        assert batcher.queue_rows == 0

    asyncio.run(scene())


def test_a_batch_that_was_handed_over_stays_as_it_is_for_more_of_its_sender() -> None:
    async def scene() -> None:
        runner = GatedRunner(is_open=False)
        batcher = make_batcher(runner)
        bulk = [start(batcher, *range(8), queue_class=BULK)]
        await runner.wait_until_entered()
        await turn_the_loop()
        bulk.append(start(batcher, 99, queue_class=BULK))
        await turn_the_loop()
        assert batcher.waiting_rows == 1
        runner.gate.set()
        for rows in bulk:
            await rows
        assert runner.batches == [[0, 1, 2, 3], [4, 5, 6, 7], [99]]
        await batcher.close()

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("seconds", "second_batch"),
    [({1: 1.0, 4: 4.0}, [99]), ({1: 1.0, 4: 1.1}, [99, 10, 11, 12])],
    ids=["rows cost", "rows are free"],
)
def test_a_single_row_waits_for_rows_of_others_in_its_batch_only_where_they_cost_nothing(
    seconds: dict[int, float], second_batch: list[int]
) -> None:
    async def scene() -> None:
        runner = GatedRunner(is_open=False)
        batcher = make_batcher(runner, pace=Pace(seconds))
        tasks = [start(batcher, *range(4), queue_class=BULK), start(batcher, *range(10, 15), queue_class=BULK)]
        await runner.wait_until_entered()
        tasks.append(start(batcher, 99, queue_class=OTHER))
        await turn_the_loop()
        runner.gate.set()
        for task in tasks:
            await task
        assert runner.batches[1] == second_batch
        await batcher.close()

    asyncio.run(scene())


def test_each_sender_has_places_of_its_own_in_each_class() -> None:
    async def scene() -> None:
        batcher = make_batcher(GatedRunner(), max_queue_rows=3)
        senders = (BULK, OTHER, DEFAULT_CLASS, URGENT)
        held = []
        for queue_class in senders:
            held.append(batcher.reserve(3, FOREVER, queue_class))
            with pytest.raises(Overloaded, match="3 of the 3 places"):
                batcher.check_room(1, FOREVER, queue_class)
        with pytest.raises(TooManyRows):
            batcher.check_room(4, FOREVER, get_queue_class(HIGHEST, "new"))
        for places, queue_class in zip(held, senders, strict=True):
            places.release()
            batcher.check_room(3, FOREVER, queue_class)

    asyncio.run(scene())


def test_places_of_rows_that_are_let_go_are_their_senders_again() -> None:
    async def scene() -> None:
        runner = GatedRunner(is_open=False)
        batcher = make_batcher(runner, max_queue_rows=2)
        running = start(batcher, 0, 1, queue_class=OTHER)
        await runner.wait_until_entered()
        await turn_the_loop()
        leaving = start(batcher, 2, 3, queue_class=BULK)
        await turn_the_loop()
        with pytest.raises(Overloaded):
            batcher.reserve(1, FOREVER, BULK)
        leaving.cancel()
        await turn_the_loop()
        with batcher.reserve(2, FOREVER, BULK), pytest.raises(Overloaded):
            batcher.reserve(1, FOREVER, BULK)
        batcher.reserve(2, FOREVER, BULK).release()
        runner.gate.set()
        await running
        await batcher.close()

    asyncio.run(scene())


def test_the_expected_wait_counts_what_is_served_before() -> None:
    async def scene() -> None:
        runner = GatedRunner(is_open=False)
        batcher = make_batcher(runner, max_batch_size=1, pace=Pace({1: 1.0}))
        with batcher.reserve(6, FOREVER, BULK), batcher.reserve(2, FOREVER, OTHER), batcher.reserve(1, FOREVER):
            assert batcher.expect_answer_s(0, URGENT) == 0
            assert batcher.expect_answer_s(0, get_queue_class(NORMAL, "new")) == 3, "one of each"
            assert batcher.expect_answer_s(0, DEFAULT_CLASS) == 2 + 2 + 1
            assert batcher.expect_answer_s(0, OTHER) == 3 + 2 + 1
            assert batcher.expect_answer_s(0, BULK) == 6 + 2 + 1
            assert batcher.expect_answer_s(1, BULK) == 6 + 2 + 1 + 1, "and its own run"
            batcher.check_room(1, 0.5, URGENT)
            with pytest.raises(Overloaded, match="answer may take"):
                batcher.check_room(1, 0.5, BULK)
        with batcher.reserve(3, FOREVER, URGENT):
            assert batcher.expect_answer_s(0, DEFAULT_CLASS) == 3
        assert batcher.expect_answer_s(0, URGENT) == 0

    asyncio.run(scene())


def test_a_batch_waits_from_the_row_that_came_first_whoever_stands_before_it() -> None:
    async def scene() -> None:
        runner = GatedRunner()
        batcher = make_batcher(runner, max_wait_s=60)
        tasks = [start(batcher, 1, queue_class=BULK), start(batcher, 2, 3, queue_class=URGENT)]
        await turn_the_loop()
        assert runner.batches == []
        tasks.append(start(batcher, 4, queue_class=OTHER))
        for task in tasks:
            await task
        assert runner.batches == [[2, 3, 4, 1]]
        await batcher.close()

    asyncio.run(scene())


def test_a_failed_device_leaves_no_place_taken() -> None:
    async def scene() -> None:
        def fail(rows: Sequence[int]) -> list[int]:
            raise DeviceFailed("gone")

        batcher = make_batcher(fail, max_queue_rows=2)
        with batcher.reserve(2, FOREVER, BULK) as places:
            for row in (1, 2):
                with pytest.raises(DeviceFailed):
                    await places.run(row)
        assert batcher.queue_rows == 0
        await batcher.close()

    asyncio.run(scene())


def test_whoever_waits_for_an_idle_moment_is_called_once_nothing_runs_waits_or_is_reserved() -> None:
    async def scene() -> None:
        runner, called = GatedRunner(is_open=False), list[str]()
        batcher = make_batcher(runner)
        assert batcher.is_idle
        running = start(batcher, 1)
        await runner.wait_until_entered()
        decoding = batcher.reserve(1, FOREVER)
        assert not batcher.is_idle
        batcher.call_when_idle(lambda: called.append("once"))
        runner.gate.set()
        await running
        await turn_the_loop()
        assert called == []
        decoding.release()
        assert (batcher.is_idle, called) == (True, ["once"])
        await run_rows(batcher, [2])
        assert called == ["once"]

    asyncio.run(scene())


def test_an_idle_moment_comes_inline_too() -> None:
    async def scene() -> None:
        called: list[str] = []
        batcher = make_batcher(GatedRunner(), inline=True)
        running = start(batcher, 1)
        await asyncio.sleep(0)
        batcher.call_when_idle(lambda: called.append("once"))
        await running
        assert called == ["once"]

    asyncio.run(scene())
