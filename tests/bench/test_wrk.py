import re
import shutil
from pathlib import Path

import pytest

from app.settings import Settings
from bench.load.shot import Shot
from bench.load.wrk import WrkFailed, command, parse, run_wrk
from tests.makers.artifacts import gray_image, make_artifact
from tests.makers.threaded_server import serve_in_thread

needs_wrk = pytest.mark.skipif(shutil.which("wrk") is None, reason="needs the load generator wrk")
OUTPUT = """Running 1s test @ http://127.0.0.1:8000/predict/tiny
  1 threads and 8 connections
wrk-result {"answers": 120, "seconds": 1.2, "rate": 99.5, "p50_ms": 1, "p95_ms": 2, "p99_ms": 3, """
OUTPUT += '"wrong": 2, "lost": 1, "sample": "x"}\n'


def test_the_result_is_found_in_the_output() -> None:
    found = parse(OUTPUT, generator_s=0.5)
    assert (found.answers, found.rate, found.p99_ms, found.wrong, found.lost) == (120, 99.5, 3, 2, 1)
    assert (found.sample, found.generator_s) == ("x", 0.5)


def test_an_output_without_a_result_is_an_error_that_shows_it() -> None:
    with pytest.raises(WrkFailed, match="unable to connect"):
        parse("unable to connect to 127.0.0.1:1")


def test_the_script_gets_body_type_expected_text_and_settling_time() -> None:
    words = command(Shot("/predict/tiny", Path("digit.png"), "image/png", '["3"'), 8000, 8, 2, 0.5)
    assert words[words.index("--") + 1 :] == ["digit.png", "image/png", '["3"', "0.500"]
    more = Shot("/predict/tiny", Path("digit.png"), "image/png", headers=(("X-A", "1"), ("X-B", "2 3")))
    assert command(more, 8000, 8, 2, 0.5)[-5:] == ["0.500", "X-A", "1", "X-B", "2 3"]
    assert {"--connections=8", "--duration=2s", "http://127.0.0.1:8000/predict/tiny"} <= set(words)


@pytest.fixture
def shot(tmp_path: Path) -> Shot:
    make_artifact(tmp_path / "repository")
    (tmp_path / "white.png").write_bytes(gray_image(255))
    return Shot("/predict/tiny", tmp_path / "white.png", "image/png", '[{"label":"white"')


@needs_wrk
def test_right_answers_are_counted_and_timed(shot: Shot, tmp_path: Path) -> None:
    with serve_in_thread(Settings(repository=tmp_path / "repository")) as port:
        found = run_wrk(shot, port, 2, 1)
    assert found.answers > 10
    assert found.rate > 10
    assert found.wrong == found.lost == 0
    assert 0 < found.p50_ms <= found.p95_ms <= found.p99_ms
    assert found.generator_s > 0
    assert found.seconds == pytest.approx(1, abs=0.5)


@needs_wrk
def test_a_wrong_answer_is_an_error_with_a_sample(shot: Shot, tmp_path: Path) -> None:
    shot.body_file.write_bytes(gray_image(0))
    with serve_in_thread(Settings(repository=tmp_path / "repository")) as port:
        found = run_wrk(shot, port, 1, 1)
    assert found.wrong == found.answers > 0
    assert found.rate == 0
    assert re.match(r'200 \{.*"label":"black"', found.sample)
