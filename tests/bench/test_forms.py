"""The forms' benchmark: what is sent is right in each form, and what is said of its costs."""

import asyncio
import json
import shutil
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from app.client.load.connection import Answer, Connection, Request
from app.settings import Settings
from bench.forms import FORMS, OURS, PLAIN, RAW, STOCK, judge, make_launches, make_shots, start_servers, write_table
from bench.load.constant_app import LABEL
from bench.load.models import repository_of
from bench.load.plain_app import app
from bench.load.shot import Shot, find_top1
from bench.load.wrk import run_wrk
from tests.makers.artifacts import gray_image, make_artifact
from tests.makers.threaded_server import serve_in_thread

COSTS = {RAW: {OURS: 90.0, STOCK: 300.0}, "v1": {OURS: 240.0, STOCK: 310.0}}


@pytest.fixture
def image(tmp_path: Path) -> Path:
    (tmp_path / "white.png").write_bytes(gray_image(255))
    return tmp_path / "white.png"


async def post(port: int, shot: Shot) -> Answer:
    headers = {"Content-Type": shot.content_type, **dict(shot.headers)}
    connection = Connection(port)
    answer = await connection.send(Request(shot.path, shot.body_file.read_bytes(), headers))
    connection.close()
    return answer


def test_each_form_is_answered_as_it_must_be(image: Path, tmp_path: Path) -> None:
    make_artifact(tmp_path / "repository")
    shots = make_shots("tiny", image, "white", tmp_path / "work")
    assert list(shots) == list(FORMS)
    with serve_in_thread(Settings(repository=tmp_path / "repository")) as port:
        for name, shot in shots.items():
            answer = asyncio.run(post(port, shot))
            assert answer.status == 200, name
            assert shot.expected in answer.body.decode(), name
            assert len(json.loads(answer.body).get("predictions", "1")) == (8 if "eight" in name else 1)


@pytest.mark.skipif(shutil.which("wrk") is None, reason="needs the load generator wrk")
def test_further_headers_reach_the_server(image: Path, tmp_path: Path) -> None:
    make_artifact(tmp_path / "repository")
    shot = make_shots("tiny", image, "white", tmp_path / "work")["v2, binary"]
    with serve_in_thread(Settings(repository=tmp_path / "repository")) as port:
        found = run_wrk(shot, port, 1, 1)
    assert found.answers > found.wrong == found.lost == 0


def test_all_servers_start_with_the_model_where_it_is_published(image: Path, tmp_path: Path) -> None:
    make_artifact(repository_of("tiny", tmp_path))
    shot = make_shots("tiny", image, "white", tmp_path / "work")[RAW]
    with start_servers(make_launches("tiny", shot, "white", tmp_path)) as servers:
        assert list(servers) == [PLAIN, OURS, STOCK]


def test_the_plain_route_takes_the_same_request_and_names_its_label() -> None:
    answer = TestClient(app).post("/predict/any", content=gray_image(0))
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    assert find_top1(answer.text, LABEL) is not None


def test_the_table_has_a_line_a_form_in_microseconds_and_plain_routes() -> None:
    lines = write_table(100.0, COSTS).splitlines()
    assert lines[0].endswith(f"| {OURS} | {STOCK} |")
    assert lines[2:4] == [f"| {RAW} | 90 (0.90) | 300 (3.00) |", "| v1 | 240 (2.40) | 310 (3.10) |"]
    assert lines[-1].endswith("100 us")


@pytest.mark.parametrize(("plain_us", "held"), [(86.0, True), (85.0, False)])
def test_the_bound_is_for_a_raw_image_by_create_app(plain_us: float, held: bool) -> None:
    found, words = judge(plain_us, COSTS)
    assert found is held
    assert words.startswith("ok" if held else "FAILED")
