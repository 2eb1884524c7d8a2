"""Small forms of bench.fuzz and bench.overload: mutated requests and too many of them, over real sockets."""

import asyncio
import os
from pathlib import Path

from app.client.load.connection import Request
from app.settings import Settings
from bench.fuzz import check_sound, fuzz
from bench.mutations import sound_requests
from bench.overload import attack, time_recovery
from bench.service import SIZE, WHITE, make_slow_graph
from tests.makers.artifacts import make_artifact
from tests.makers.threaded_server import serve_in_thread


def test_mutated_requests_get_a_problem_and_do_no_harm(repository: Path) -> None:
    with serve_in_thread(Settings(repository=repository)) as port:
        statuses, faults, _ = asyncio.run(fuzz(port, 400, seed=1))
        assert not faults
        assert statuses.total() == 400
        assert statuses[400] > statuses[200] > 0
        assert not asyncio.run(check_sound(port, 1))


def test_sound_requests_cover_every_form() -> None:
    paths = {request.path for request in sound_requests()}
    assert {"/predict/tiny", "/v2/models/tiny/infer", "/v1/models/tiny:predict"} <= paths


def test_too_many_requests_are_refused_at_once_and_the_others_answered(tmp_path: Path) -> None:
    make_artifact(tmp_path, size=SIZE, graph=make_slow_graph(4))
    with serve_in_thread(Settings(repository=tmp_path, max_queue_rows=4, threads=1)) as port:
        request = Request("/predict/tiny", WHITE, {"Content-Type": "image/png"})
        storm = asyncio.run(attack(port, os.getpid(), request, clients=50, seconds=1.5))
        assert set(storm.statuses) == {200, 429}
        assert storm.without_retry_after == storm.lost == 0
        asyncio.run(time_recovery(port, request))
