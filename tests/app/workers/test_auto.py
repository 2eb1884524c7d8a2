"""`convserve serve` without flags: how many processes serve, and what the log says of it."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from app.machine import count_cores
from tests.app.workers.test_supervisor import WHITE, ask, find_workers, is_running, read_metric
from tests.makers.artifacts import make_artifact, make_slow_graph
from tests.makers.waiting import wait_until

CORES = count_cores()
pytestmark = pytest.mark.skipif(
    CORES == 1 or not Path("/proc/self/task").exists(), reason="one core has no workers, and /proc is asked for them"
)


def make_slow(repository: Path) -> None:
    make_artifact(repository, "slow", graph=make_slow_graph())


def test_tiny_models_are_served_by_a_process_a_core(start_server: Callable) -> None:
    server = start_server()
    assert len(find_workers(server.process.pid)) == CORES
    for _ in range(20):
        assert ask(server.port, "GET", "/health/ready")[0] == 200
        assert ask(server.port, "POST", "/predict/tiny", WHITE)[0] == 200
    assert read_metric(server.port, "convserve_workers") == CORES
    assert read_metric(server.port, 'convserve_images_total{model="tiny",version="1"}') == 20
    assert server.stop() == 0
    log = "".join(server.lines)
    said = f"{CORES} workers: one per core, because every model runs on the event loop; each takes "
    assert log.count(said) == 1
    assert log.count(" ready\n") == 1, "once all are"
    assert log.index(said) < log.index("INFO ready")


def test_a_large_model_is_served_by_one_process(start_server: Callable, repository: Path) -> None:
    shutil.rmtree(repository / "tiny")
    make_slow(repository)
    server = start_server()
    assert len(find_workers(server.process.pid)) == 1
    assert ask(server.port, "GET", "/health/ready")[0] == 200
    assert ask(server.port, "POST", "/predict/slow", WHITE)[0] == 200
    assert server.stop() == 0
    said = r"INFO 1 worker: slow uses all cores from one process; --workers \d+ would take [\d,]+ MB more"
    assert len(re.findall(said, "".join(server.lines))) == 1


def test_on_one_core_there_is_no_process_beside(start_server: Callable) -> None:
    own = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(own)})
    try:
        server = start_server()
    finally:
        os.sched_setaffinity(0, own)
    assert find_workers(server.process.pid) == []
    assert ask(server.port, "POST", "/predict/tiny", WHITE)[0] == 200
    assert server.stop() == 0
    assert "INFO 1 worker: there is one core; " in "".join(server.lines)


def test_a_model_that_comes_later_is_served_and_a_line_says_what_a_restart_would_gain(
    start_server: Callable, repository: Path
) -> None:
    server = start_server()
    make_slow(repository)
    server.process.send_signal(signal.SIGHUP)
    server.wait_for(r"INFO a restart would start 1 worker: slow uses all cores from one process; --workers")
    server.wait_for(r"SIGHUP: .* repository: slow loaded")
    assert {ask(server.port, "POST", "/predict/slow", WHITE)[0] for _ in range(10)} == {200}
    shutil.rmtree(repository / "slow")
    server.process.send_signal(signal.SIGHUP)
    server.wait_for(r"SIGHUP: .* repository: slow dropped")
    assert ask(server.port, "POST", "/predict/tiny", WHITE)[0] == 200
    assert server.stop() == 0


def test_the_first_worker_is_replaced_like_any_other(start_server: Callable) -> None:
    server = start_server()
    first = min(find_workers(server.process.pid))
    os.kill(first, signal.SIGKILL)
    server.wait_for(r"worker \d+ ended with status -9: replaced")
    server.wait_for(r"INFO ready$")
    assert len(find_workers(server.process.pid)) == CORES
    assert server.stop() == 0
    assert "".join(server.lines).count(" workers: one per core") == 1, "it is decided once"


def test_a_first_worker_that_dies_before_it_reported_holds_nothing_up(repository: Path) -> None:
    command = [sys.executable, "-m", "app", "serve", "--port", "0", "--repository", str(repository)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        wait_until(lambda: bool(find_workers(server.pid)))
        os.kill(find_workers(server.pid)[0], signal.SIGKILL)
        assert any(line.rstrip().endswith("INFO ready") for line in server.stderr)
        assert len(find_workers(server.pid)) == CORES
        server.terminate()
        assert server.wait(60) == 0


def test_sigterm_just_after_the_decision_ends_all_with_status_0(repository: Path) -> None:
    command = [sys.executable, "-m", "app", "serve", "--port", "0", "--repository", str(repository)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        assert any(" workers: one per core" in line for line in server.stderr)
        workers = find_workers(server.pid)
        server.terminate()
        assert "Traceback" not in server.communicate(timeout=60)[1]
        assert server.returncode == 0
        wait_until(lambda: not any(is_running(pid) for pid in workers))
