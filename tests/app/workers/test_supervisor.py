"""Several processes as one service: readiness, metrics and loads of all, a killed worker replaced, a drain."""

import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from app.admission.keys import hash_key
from tests.makers.artifacts import damage, gray_image, make_artifact, make_odd_graph
from tests.makers.waiting import wait_until

WHITE = gray_image(255)
PROCESSES = pytest.mark.parametrize("flags", [("--workers", "1"), ("--workers", "2")], ids=["one", "two workers"])
ADMIN = {"Authorization": "Bearer admin"}


def ask(port: int, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, body, {"Content-Type": "image/png", **headers})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def versions_served(port: int, tries: int = 40) -> set[int]:
    """Over new connections, which the kernel spreads among the workers."""
    return {json.loads(ask(port, "POST", "/predict/tiny", WHITE)[1])["version"] for _ in range(tries)}


def read_metric(port: int, series: str) -> float:
    text = ask(port, "GET", "/metrics")[1].decode()
    match = re.search(rf"^{re.escape(series)} (.*)$", text, re.MULTILINE)
    return float(match[1]) if match else 0.0


def find_workers(supervisor: int) -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()]


def is_running(pid: int) -> bool:
    try:
        return "zombie" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


@pytest.fixture
def kept_flags(repository: Path, tmp_path: Path) -> Sequence[str]:
    """Two workers over two versions, for holders of an admin key, with a file for what they set."""
    make_artifact(repository, version=2)
    flags = ("--workers", "2", "--versions", "all", "--admin-keys", hash_key("admin"))
    return (*flags, "--state-file", str(tmp_path / "state.json"))


@pytest.fixture
def server(start_server: Callable) -> Any:
    if not Path("/proc/self/task").exists():
        pytest.skip("finds workers through /proc")
    return start_server("--workers", "2", "--admin-keys", hash_key("admin"), "--header-timeout-s", "5")


def test_two_workers_have_one_readiness_and_one_sum_of_metrics(server: Any) -> None:
    assert len(find_workers(server.process.pid)) == 2
    for _ in range(20):
        assert ask(server.port, "GET", "/health/ready")[0] == 200
        assert ask(server.port, "POST", "/predict/tiny", WHITE)[0] == 200
    assert read_metric(server.port, 'convserve_images_total{model="tiny",version="1"}') == 20
    assert read_metric(server.port, "convserve_workers") == 2
    assert read_metric(server.port, "convserve_ready") == 1
    stats = ask(server.port, "GET", "/v2/models/tiny/stats")[1]
    assert json.loads(stats)["model_stats"][0]["inference_count"] == 20
    assert server.stop() == 0


def test_feedback_to_two_workers_is_one_sum_and_receipts_outlive_a_restart(
    start_server: Callable, tmp_path: Path
) -> None:
    (tmp_path / "key").write_text("0123456789abcdef" * 4)
    flags = ("--workers", "2", "--receipt-key", str(tmp_path / "key"))
    server = start_server(*flags)
    answer = ask(server.port, "POST", "/predict/tiny?receipt=1", WHITE)[1]
    receipt = json.loads(answer)["predictions"][0]["receipt"]

    def tell(label: str) -> int:
        """Over a new connection, which the kernel gives to one of the workers."""
        return ask(server.port, "POST", "/feedback", json.dumps({"receipt": receipt, "label": label}).encode())[0]

    def count(answer: str) -> float:
        series = f'convserve_feedback_images_total{{model="tiny",version="1",bin="1.00",answer="{answer}"}}'
        return read_metric(server.port, series)

    assert [tell(label) for label in ["white", "black", "white"] * 10] == [200] * 30
    assert (count("right"), count("wrong")) == (20, 10)
    page = ask(server.port, "GET", "/models/tiny/card", Accept="text/html")[1].decode()
    assert "67 % (49 to 81 %, from 30 images) whose true label was told" in page
    assert server.stop() == 0
    server = start_server(*flags)
    assert (count("right"), count("wrong")) == (0, 0)
    assert tell("white") == 200
    assert (count("right"), count("wrong")) == (1, 0)
    assert server.stop() == 0


def test_a_load_reaches_all_workers_or_none(server: Any, repository: Path) -> None:
    make_artifact(repository, version=2)
    assert ask(server.port, "POST", "/v2/repository/models/tiny/load", **ADMIN)[0] == 200
    assert versions_served(server.port) == {2}
    damage(make_artifact(repository, version=3))
    status, body = ask(server.port, "POST", "/v2/repository/models/tiny/load", **ADMIN)
    assert (status, json.loads(body)["code"]) == (409, "load_refused")
    assert versions_served(server.port) == {2}
    assert ask(server.port, "POST", "/v2/repository/models/absent/load", **ADMIN)[0] == 404
    assert ask(server.port, "POST", "/v2/repository/models/tiny/unload", **ADMIN)[0] == 200
    assert {ask(server.port, "POST", "/predict/tiny", WHITE)[0] for _ in range(20)} == {404}
    assert ask(server.port, "GET", "/health/ready")[0] == 503
    assert server.stop(signal.SIGINT) == 0


def test_a_killed_worker_is_replaced_and_nobody_gets_a_wrong_answer(server: Any) -> None:
    first, second = find_workers(server.process.pid)
    ask(server.port, "POST", "/predict/tiny", WHITE)
    answers: list[tuple[int, str]] = []
    broken: list[Exception] = []
    busy = threading.Event()
    busy.set()

    def send() -> None:
        while busy.is_set():
            try:
                status, body = ask(server.port, "POST", "/predict/tiny", WHITE)
                answers.append((status, json.loads(body)["predictions"][0]["classes"][0]["label"]))
            except (OSError, http.client.HTTPException) as error:
                broken.append(error)

    clients = [threading.Thread(target=send) for _ in range(4)]
    for client in clients:
        client.start()
    os.kill(first, signal.SIGKILL)
    server.wait_for(r"worker \d ended with status -9: replaced")
    server.wait_for(r"workers: all ready$")
    busy.clear()
    for client in clients:
        client.join()
    assert set(answers) == {(200, "white")}
    assert len(broken) <= 4 + 4, "only what was in flight"
    assert second in find_workers(server.process.pid)
    assert first not in find_workers(server.process.pid)
    assert ask(server.port, "GET", "/health/ready")[0] == 200
    assert read_metric(server.port, "convserve_worker_restarts_total") == 1
    assert server.stop() == 0


def test_sigterm_under_load_answers_everything_that_was_accepted(server: Any) -> None:
    results: list[str] = []
    started = threading.Barrier(9)

    def send() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        connection.connect()
        started.wait()
        try:
            for _ in range(10_000):
                sent = False
                connection.request("POST", "/predict/tiny", WHITE, {"Content-Type": "image/png"})
                sent = True
                response = connection.getresponse()
                results.append("answered" if response.status == 200 and response.read() else "failed")
                if response.getheader("connection") == "close":
                    return
            results.append("never stopped")
        except (OSError, http.client.HTTPException) as error:
            results.append(f"{type(error).__name__} after sending" if sent else "not sent")
        finally:
            connection.close()

    clients = [threading.Thread(target=send) for _ in range(8)]
    for client in clients:
        client.start()
    started.wait()
    wait_until(lambda: len(results) >= 200)
    assert server.stop() == 0
    for client in clients:
        client.join()
    assert set(results) == {"answered"}


def test_the_end_of_the_supervisor_ends_its_workers(server: Any) -> None:
    workers = find_workers(server.process.pid)
    assert len(workers) == 2
    server.stop(signal.SIGKILL)
    wait_until(lambda: not any(is_running(pid) for pid in workers))


def test_the_rate_of_a_key_is_one_for_all_workers(start_server: Callable, tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(f'[keys.slow]\nhash = "{hash_key("slow")}"\nrows_per_s = 0.002\n')
    server = start_server("--workers", "2", "--settings", str(file))
    # Over new connections, which the kernel spreads among the workers.
    found = [ask(server.port, "POST", "/predict/tiny", WHITE, Authorization="Bearer slow")[0] for _ in range(20)]
    assert found == [200] + 19 * [429]
    assert read_metric(server.port, 'convserve_rejections_total{model="tiny",reason="rate_exceeded"}') == 19
    assert server.stop() == 0


def test_a_shadow_reaches_all_workers_and_is_the_sum_of_them(start_server: Callable, kept_flags: Sequence[str]) -> None:
    server = start_server(*kept_flags)

    def compare() -> dict[str, Any]:
        return dict(json.loads(ask(server.port, "GET", "/shadows/next")[1]))

    shadow = {"of": "tiny/1", "run": "tiny/2", "keep_images": True}
    status, answer = ask(server.port, "PUT", "/shadows/next", json.dumps(shadow).encode(), **ADMIN)
    assert (status, json.loads(answer)["kept"]) == (200, True)
    for _ in range(40):
        assert ask(server.port, "POST", "/predict/tiny?version=1", WHITE)[0] == 200
    wait_until(lambda: compare()["images"] == 40)
    assert compare()["top1_agreement"] == 1
    for by in ("of", "run"):  # of both workers
        assert compare()["latency"][by]["mean_infer_ms"] > 0
        labels = f'shadow="next",of="tiny/1",run="tiny/2",by="{by}"'
        assert read_metric(server.port, f"convserve_shadow_infer_seconds_count{{{labels}}}") == 40
    assert ask(server.port, "GET", "/shadows/next/images/none", **ADMIN)[0] == 404
    os.kill(find_workers(server.process.pid)[0], signal.SIGKILL)
    server.wait_for(r"workers: all ready$")
    assert compare()["images"] == 40
    assert server.stop() == 0
    server = start_server(*kept_flags)
    assert (compare()["images"], compare()["run"]) == (0, "tiny/2")
    assert ask(server.port, "DELETE", "/shadows/next", **ADMIN)[0] == 200
    assert {ask(server.port, "GET", "/shadows/next")[0] for _ in range(10)} == {404}
    assert ask(server.port, "DELETE", "/shadows/next", **ADMIN)[0] == 404
    assert server.stop() == 0


def test_a_guard_judges_the_sum_of_the_workers_and_reaches_them_all(start_server: Callable, repository: Path) -> None:
    make_artifact(repository, version=2, graph=make_odd_graph())
    server = start_server("--workers", "2", "--versions", "all", "--admin-keys", hash_key("admin"))

    def put(path: str, order: Any) -> None:
        assert ask(server.port, "PUT", path, json.dumps(order).encode(), **ADMIN)[0] == 200

    def is_withdrawn() -> bool:
        assert {ask(server.port, "POST", "/predict/tiny?version=1", WHITE)[0] for _ in range(20)} == {200}
        return "withdrawn" in json.loads(ask(server.port, "GET", "/aliases/best")[1])

    put("/shadows/next", {"of": "tiny/1", "run": "tiny/2"})
    put("/aliases/best", {"to": {"tiny/1": 1, "tiny/2": 1}, "guard": {"max_disagreement": 0.1, "min_requests": 40}})
    wait_until(is_withdrawn)
    server.wait_for(r"alias best: tiny/2 gets no requests any more: it disagrees on 100\.00% of [\d,]+ images")
    for _ in range(10):
        assert json.loads(ask(server.port, "GET", "/aliases/best")[1])["to"] == {"tiny/1": 1, "tiny/2": 0}
    withdrawals = 'convserve_alias_withdrawals_total{alias="best",to="tiny/2",bound="max_disagreement"}'
    assert read_metric(server.port, withdrawals) == 1
    assert server.stop() == 0


def test_sighup_reads_aliases_and_shadows_again(start_server: Callable, tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text('[aliases]\nbest = "absent"\n')
    server = start_server("--workers", "2", "--settings", str(file))
    assert ask(server.port, "POST", "/predict/best", WHITE)[0] == 404
    file.write_text('[aliases]\nbest = "tiny/1"\n')
    server.process.send_signal(signal.SIGHUP)
    server.wait_for(r"SIGHUP: aliases: best -> tiny/1; repository: nothing changed")
    assert {ask(server.port, "POST", "/predict/best", WHITE)[0] for _ in range(20)} == {200}
    file.write_text('[aliases]\nbest = {first = "tiny", then = "absent", when = "set > 1"}\n')
    server.process.send_signal(signal.SIGHUP)
    server.wait_for(r"SIGHUP: aliases: best -> tiny, then absent when set > 1 \(no such model\); repository")
    assert {ask(server.port, "POST", "/predict/best", WHITE)[0] for _ in range(20)} == {404}
    file.write_text('[aliases]\nbest = "tiny/1"\n')
    server.process.send_signal(signal.SIGHUP)
    server.wait_for(r"SIGHUP: aliases: best -> tiny/1; repository: nothing changed")
    file.write_text('[aliases]\nbest = {to = {"tiny/1" = 3, absent = 1}, sticky = "X-User"}\n')
    server.process.send_signal(signal.SIGHUP)
    server.wait_for(r"SIGHUP: aliases: best -> tiny/1 75 %, absent 25 %, sticky by X-User \(no such model\); ")
    found = [
        {ask(server.port, "POST", "/predict/best", WHITE, **{"X-User": user})[0] for _ in range(4)}
        for user in "abcdefghijklmn"
    ]
    assert all(len(statuses) == 1 for statuses in found), "both workers give a client the same model"
    assert set().union(*found) == {200, 404}
    file.write_text('[aliases]\nbest = "tiny/1"\n[shadows.next]\nof = "tiny/1"\nrun = "tiny/2"\nshare = 0.2\n')
    server.process.send_signal(signal.SIGHUP)
    server.wait_for(r"SIGHUP: aliases: best -> tiny/1; shadows: next: tiny/2 beside tiny/1, 20 %; repository: nothing")
    shadows = [json.loads(ask(server.port, "GET", "/shadows/next")[1]) for _ in range(10)]
    assert {(shadow["share"], shadow["set_by"]) for shadow in shadows} == {(0.2, "settings")}, "in both workers"
    file.write_text("aliases = 1\n")
    server.process.send_signal(signal.SIGHUP)
    server.wait_for(r"SIGHUP: aliases: best -> tiny/1 \(unchanged\); shadows: next: .* \(unchanged\)")
    assert server.stop() == 0


def test_an_alias_that_is_put_reaches_all_workers_and_outlives_a_restart(
    start_server: Callable, kept_flags: Sequence[str]
) -> None:
    server = start_server(*kept_flags)

    def put(meaning: Any) -> dict[str, Any]:
        status, answer = ask(server.port, "PUT", "/aliases/tiny", json.dumps(meaning).encode(), **ADMIN)
        assert status == 200
        return dict(json.loads(answer))

    def served_to(user: str) -> set[int]:
        answers = [ask(server.port, "POST", "/predict/tiny", WHITE, **{"X-User": user}) for _ in range(10)]
        return {json.loads(body)["version"] for _, body in answers}

    assert versions_served(server.port) == {2}
    assert put({"to": "tiny/1"}) == {"name": "tiny", "to": "tiny/1", "set_by": "request", "kept": True}
    assert versions_served(server.port) == {1}
    put({"to": {"tiny/1": 1, "tiny/2": 1}, "sticky": "X-User"})
    before = [served_to(user) for user in "abcdefgh"]
    assert sorted(map(len, before)) == [1] * 8, "both workers give a client the same version"
    assert set().union(*before) == {1, 2}
    os.kill(find_workers(server.process.pid)[0], signal.SIGKILL)
    server.wait_for(r"workers: all ready$")
    assert [served_to(user) for user in "abcdefgh"] == before
    assert server.stop() == 0
    server = start_server(*kept_flags)
    assert [served_to(user) for user in "abcdefgh"] == before
    status, answer = ask(server.port, "DELETE", "/aliases/tiny", **ADMIN)
    assert (status, json.loads(answer)) == (200, {"name": "tiny", "to": None, "kept": True})
    assert versions_served(server.port) == {2}
    status, answer = ask(server.port, "DELETE", "/aliases/tiny", **ADMIN)
    assert (status, json.loads(answer)["code"]) == (404, "unknown_alias")
    assert server.stop() == 0


@PROCESSES
def test_sighup_loads_what_is_new_in_the_repository(
    start_server: Callable, repository: Path, flags: tuple[str, ...]
) -> None:
    server = start_server(*flags)
    make_artifact(repository, version=2)
    server.process.send_signal(signal.SIGHUP)
    server.wait_for(r"SIGHUP: aliases: none; repository: tiny loaded")
    assert versions_served(server.port) == {2}
    damage(make_artifact(repository, version=3))
    server.process.send_signal(signal.SIGHUP)
    server.wait_for(r"repository: tiny stays as it is")
    assert versions_served(server.port) == {2}
    assert server.stop() == 0


def test_a_folder_called_app_where_the_command_is_given_is_the_users_own(
    start_server: Callable, tmp_path: Path
) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app/__init__.py").write_text("raise SystemExit('this is no part of the service')\n")
    server = start_server("--workers", "2", cwd=tmp_path)
    assert ask(server.port, "POST", "/predict/tiny", WHITE)[0] == 200
    assert server.stop() == 0


@PROCESSES
def test_a_version_that_arrives_file_by_file_is_followed_by_every_process(
    start_server: Callable, repository: Path, tmp_path: Path, flags: tuple[str, ...]
) -> None:
    server = start_server(*flags, "--poll-s", "0.1")
    whole = make_artifact(tmp_path / "elsewhere", version=2)
    target = repository / "tiny/2"
    shutil.copytree(whole, target, ignore=shutil.ignore_patterns("golden"))

    def state() -> set[str]:
        """Of version 2, as several connections see it."""
        seen = [json.loads(ask(server.port, "GET", "/models/tiny")[1])["versions"][0] for _ in range(10)]
        return {f"{version['version']} {version['state']} {version.get('reason', '')[:16]}".strip() for version in seen}

    wait_until(lambda: state() == {"2 arriving it lacks golden/"})
    assert ask(server.port, "POST", "/predict/tiny?version=2", WHITE)[0] == 503
    assert versions_served(server.port) == {1}
    shutil.copytree(whole / "golden", target / "golden")
    wait_until(lambda: state() == {"2 loaded"})
    assert versions_served(server.port) == {2}
    assert server.stop() == 0


@PROCESSES
def test_a_folder_whose_reads_hang_holds_up_neither_the_start_nor_the_end(
    start_server: Callable, repository: Path, flags: tuple[str, ...]
) -> None:
    card = make_artifact(repository, "dead") / "card.json"
    card.unlink()
    os.mkfifo(card)  # opening it waits for a writer
    server = start_server(*flags)
    assert ask(server.port, "POST", "/predict/tiny", WHITE)[0] == 200
    status, body = ask(server.port, "POST", "/predict/dead", WHITE)
    assert (status, json.loads(body)["code"]) == (404, "model_refused")
    assert server.stop() == 0


def test_workers_that_can_never_serve_end_the_command(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol\ndel HttpToolsProtocol.shutdown\n"
    )
    command = [sys.executable, "-m", "app", "serve", "--port", "0", "--repository", str(repository), "--workers", "2"]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(tmp_path)}, timeout=120
    )
    assert done.returncode == 1
    assert "it has moved HttpToolsProtocol.shutdown: install 'uvicorn>=" in done.stderr
    assert "replaced" not in done.stderr
