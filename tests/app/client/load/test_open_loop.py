import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import pairwise
from math import inf
from pathlib import Path

import pytest

from app.client.load.connection import Answer, Request
from app.client.load.open_loop import OpenResult, make_arrivals, run_open_loop
from app.settings import Settings
from tests.makers.artifacts import gray_image, make_artifact
from tests.makers.threaded_server import serve_in_thread

ASK = [Request("/", b"", {})]


def is_white(answer: Answer) -> bool:
    return b'"classes":[{"label":"white"' in answer.body


def is_ok(answer: Answer) -> bool:
    return answer.status == 200


async def load(before_answer: Callable[[], Awaitable[int | None]], **options: float) -> OpenResult:
    """An open loop against a server that answers after what it waits for: with the status of that, or 200."""

    ended: list[asyncio.Future[None]] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ended.append(asyncio.get_running_loop().create_future())
        place = len(ended) - 1
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                status = await before_answer() or 200
                writer.write(b"HTTP/1.1 %d OK\r\ncontent-length: 2\r\n\r\nok" % status)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
        ended[place].set_result(None)

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        port = server.sockets[0].getsockname()[1]
        return await run_open_loop(ASK, port, is_right=is_ok, **options)  # type: ignore[arg-type]
    finally:
        server.close()
        await asyncio.gather(*ended)


def test_arrivals_are_those_of_a_poisson_process_and_repeat_with_their_seed() -> None:
    arrivals = make_arrivals(100, 50, seed=3)
    assert arrivals == make_arrivals(100, 50, seed=3) != make_arrivals(100, 50, seed=4)
    assert len(arrivals) == 5_000
    assert arrivals == sorted(arrivals)
    assert arrivals[0] >= 0
    assert arrivals[-1] <= 50
    gaps = [later - sooner for sooner, later in pairwise(arrivals)]
    # Gaps are exponential: their deviation is their mean, and 1 - 1/e of them are shorter.
    assert sum(gap < 0.01 for gap in gaps) / len(gaps) == pytest.approx(0.632, abs=0.02)


def test_every_request_is_sent_at_its_time_and_judged(tmp_path: Path) -> None:
    make_artifact(tmp_path)
    requests = [Request("/predict/tiny", gray_image(level), {"Content-Type": "image/png"}) for level in (255, 0)]
    with serve_in_thread(Settings(repository=tmp_path)) as port:
        found = asyncio.run(run_open_loop(requests, port, rate=50, seconds=0.4, is_right=is_white))
    assert found.target_rate == 50
    assert (found.wrong, found.lost) == (10, 0)  # by turns
    assert 0 < found.p50_ms < inf == found.p95_ms == found.p99_ms


def test_a_server_that_stands_still_is_charged_with_all_that_had_to_wait() -> None:
    """Clients that wait for answers would have sent one request a connection, and none while it stood still."""

    async def scene() -> OpenResult:
        everybody_waits = asyncio.Event()
        waiting = 0

        async def wait() -> None:
            nonlocal waiting
            waiting += 1
            if waiting == 200:
                everybody_waits.set()
            await everybody_waits.wait()

        return await load(wait, rate=1000, seconds=0.2)

    found = asyncio.run(scene())
    assert found.lost == found.wrong == 0
    assert found.p50_ms > 50


def test_it_ends_as_soon_as_the_p99_is_lost() -> None:
    async def scene() -> OpenResult:
        return await load(lambda: asyncio.sleep(0.02), rate=100, seconds=60, p99_ms=1)

    found = asyncio.run(asyncio.wait_for(scene(), 60))
    assert found.ended_early


def test_requests_that_nobody_answers_are_lost() -> None:
    found = asyncio.run(run_open_loop(ASK, 1, rate=50, seconds=0.2, is_right=is_ok))
    assert (found.lost, found.rate, found.ended_early) == (10, 0, False)
    assert found.p50_ms == inf


@pytest.mark.parametrize(("refused", "keeps"), [(0, True), (2, True), (3, False)])
def test_a_refused_request_is_a_late_one(refused: int, keeps: bool) -> None:
    """Of 200 a p99 leaves out 2."""

    async def scene() -> OpenResult:
        refusals = iter([503] * refused)

        async def answer() -> int | None:
            return next(refusals, None)

        return await load(answer, rate=1000, seconds=0.2, p99_ms=60_000)

    found = asyncio.run(scene())
    assert (found.failed, found.keeps(60_000)) == (refused, keeps)
    assert (found.p99_ms < inf) == keeps
