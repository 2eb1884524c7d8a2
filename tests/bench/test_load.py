import json
import os
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from PIL import Image

from app.machine import count_cores
from artifact.card import read_card
from bench.load.__main__ import describe_machine, parse_arguments
from bench.load.contest import stretch
from bench.load.images import digits, photos_500
from bench.load.limit import find_top1, measure_ceiling, measure_latency, measure_loops
from bench.load.models import MODELS, Published
from bench.load.peers import PEERS
from bench.load.peers.environment import EnvironmentFailed, make_environment
from bench.load.peers.topk import append_topk
from bench.load.servers import Launch, Server, StartFailed, our_command, peer_task
from bench.load.shot import Shot
from tests.makers.artifacts import gray_image, make_artifact, make_graph


@pytest.fixture
def published(tmp_path: Path) -> Published:
    folder = make_artifact(tmp_path / "repository")
    return Published(folder, read_card(folder))


def test_words_become_models_peers_and_numbers() -> None:
    given = parse_arguments(
        ["--models", "lenet5,resnet50", "--peers", "naive", "--connections", "1,8", "--rates", "50"]
    )
    assert (given.models, given.peers) == (["lenet5", "resnet50"], ["naive"])
    assert (given.connections, given.rates) == ((1, 8), (50.0,))


def test_peers_are_chosen_as_they_come_or_tuned() -> None:
    found = {word: parse_arguments(["--peers", word]).peers for word in ("none", "default", "tuned", "all")}
    assert found["none"] == []
    assert sorted(found["all"]) == sorted(found["default"] + found["tuned"]) == sorted(PEERS)
    assert [f"{name}-tuned" for name in found["default"]] == found["tuned"]


@pytest.mark.parametrize(
    "words", [["--models", "lenet6"], ["--peers", "apache"], ["--connections", "x"], ["--seconds", "0"]]
)
def test_wrong_words_are_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_arguments(words)
    assert words[0] in capsys.readouterr().err


@pytest.mark.parametrize(("turn_s", "seconds"), [(0.001, 5), (2.0, 12), (60.0, 20)])
def test_slow_servers_are_measured_longer_within_reason(turn_s: float, seconds: int) -> None:
    assert stretch(5, turn_s) == seconds


def test_the_machine_is_described_with_its_versions() -> None:
    assert f"onnxruntime {onnxruntime.__version__}" in describe_machine()


def test_models_are_known_by_their_names() -> None:
    assert all(name == model.name for name, model in MODELS.items())


def test_images_have_the_sizes_they_are_named_for(tmp_path: Path) -> None:
    with Image.open(digits(tmp_path)[0]) as digit, Image.open(photos_500(tmp_path)[0]) as photo:
        assert (digit.size, digit.mode, digit.format) == ((28, 28), "L", "PNG")
        assert (photo.size, photo.mode, photo.format) == ((500, 375), "RGB", "JPEG")


def test_limits_are_measured_in_process(published: Published) -> None:
    white = gray_image(255)
    (first, lead), (second, _) = find_top1(published, [white, gray_image(0)])
    assert (first, second) == ("white", "black")
    assert lead > 0
    assert all(found.rate > 0 for found in measure_loops(published, white, 0.02).values())
    latency = measure_latency(published, white, 1, 0.02)
    assert 0 < latency.p50_ms <= latency.p99_ms
    ceiling = measure_ceiling(published, white, 2, http_s=1e-3, generator_s=1e-3)
    assert 0 < ceiling.rate < 1000
    assert ceiling.how.startswith("2 cores / (decode ")


def test_the_tuned_graph_gives_the_best_five(tmp_path: Path) -> None:
    onnx.save(make_graph(), tmp_path / "model.onnx")
    append_topk(tmp_path / "model.onnx", tmp_path / "topk.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "topk.onnx", providers=["CPUExecutionProvider"])
    values, indices = session.run(None, {"image": np.full((3, 8, 8, 1), 255, np.uint8)})
    assert indices.tolist() == [[4, 3, 2, 1, 0]] * 3
    assert (np.diff(values) <= 0).all()


def test_an_environment_is_kept_while_its_requirements_stay(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("a==1\n")
    assert make_environment(tmp_path, ["a==1"]) == tmp_path / "bin"


def test_packages_that_can_t_be_had_are_named(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFailed, match="no-such-wheel"):
        make_environment(tmp_path / "venv", ["--no-index", "./no-such-wheel.whl"])


def serve(tmp_path: Path, code: str) -> Launch:
    (tmp_path / "body").write_bytes(b"image")
    shot = Shot("/", tmp_path / "body", "image/png")
    return Launch("peer", lambda port: [sys.executable, "-c", code, str(port)], shot, "3", "package==1", tmp_path)


ANSWERING = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = b'[{"label": "3"}]'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def test_a_server_is_ready_with_its_first_right_answer_and_leaves_nothing_behind(tmp_path: Path) -> None:
    server = Server(serve(tmp_path, ANSWERING))
    try:
        assert server.shot.expected == '[{"label": "3"'
        assert 0 < server.ready_s < 60
        assert server.cpu_seconds() > 0
        server.freeze()
        os.waitid(os.P_PID, server.pid, os.WSTOPPED | os.WNOWAIT)
        assert " T " in Path(f"/proc/{server.pid}/stat").read_text()
    finally:
        server.stop()
    assert not Path(f"/proc/{server.pid}").exists()


def test_a_server_that_ends_says_its_last_line(tmp_path: Path) -> None:
    with pytest.raises(StartFailed, match="status 1: ValueError: no model"):
        Server(serve(tmp_path, "raise ValueError('no model')"))


def test_a_server_with_another_top1_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StartFailed, match="its top-1 isn't '3'"):
        Server(serve(tmp_path, ANSWERING.replace('"3"', '"4"')))


def test_peers_are_told_their_task_as_json() -> None:
    assert json.loads(peer_task(port=1)["BENCH_PEER"]) == {"port": 1}


def test_our_server_is_told_where_its_models_are_and_nothing_else(tmp_path: Path) -> None:
    command = our_command(tmp_path)(8000)
    assert command[1:] == ["-m", "app", "serve", "--repository", str(tmp_path), "--port", "8000"]


def test_a_tuned_mlserver_has_batches_and_workers(tmp_path: Path) -> None:
    def read(name: str) -> tuple[dict[str, object], dict[str, object]]:
        prepare = PEERS[name].prepare
        assert prepare is not None
        prepare(tmp_path, 8000)
        settings, model = ((tmp_path / file).read_text() for file in ("settings.json", "model-settings.json"))
        return json.loads(settings), json.loads(model)

    (plain, _), (tuned, model) = read("mlserver"), read("mlserver-tuned")
    assert plain["http_port"] == tuned["http_port"] == 8000
    assert "parallel_workers" not in plain
    assert (tuned["parallel_workers"], model["max_batch_size"]) == (count_cores(), 32)
