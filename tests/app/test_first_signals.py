"""What `convserve serve` does with signals before it serves: python -m app and the console script are one function."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest

from app.machine import count_cores
from tests.makers.waiting import wait_until

ROOT = Path(__file__).parents[2]
SERVE = [sys.executable, "-m", "app", "serve", "--port", "0"]

# Ends where the command takes its first signal, and says what had been imported by then.
WATCH = """
import runpy, signal, sys

def tell(number, handler):
    names = {name.partition(".")[0] for name in sys.modules} - set(sys.stdlib_module_names)
    print(number.name, *sorted(names | {name for name in sys.modules if name.startswith("app.")}))
    sys.exit()

signal.signal = tell
sys.argv = ["convserve", *sys.argv[1:]]
runpy.run_module("app", run_name="__main__")
"""

needs_proc = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc on this system")


def run_watched(*arguments: str, python: Sequence[str] = ()) -> list[str]:
    watched = [sys.executable, *python, "-c", WATCH, *arguments]
    return subprocess.run(watched, capture_output=True, text=True, cwd=ROOT, timeout=60).stdout.split()


def catches_sigterm(pid: int) -> bool:
    (mask,) = (line.split()[1] for line in Path(f"/proc/{pid}/status").read_text().splitlines() if "SigCgt" in line)
    return bool(int(mask, 16) >> (signal.SIGTERM - 1) & 1)


def children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def test_a_server_takes_its_signals_before_anything_else_is_imported() -> None:
    # -S: site-packages may hold .pth files that import, whatever the command does.
    assert run_watched("serve", python=["-S"]) == ["SIGHUP", "__main__", "app"]


def test_other_commands_leave_signals_as_they_are() -> None:
    assert run_watched("--help")[0] == "usage:"


def test_the_console_script_begins_with_the_same_function() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["scripts"]["convserve"] == "app.__main__:main"


@needs_proc
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_server_told_to_stop_as_soon_as_it_listens_to_signals_ends_with_status_0(
    repository: Path, number: int
) -> None:
    with subprocess.Popen([*SERVE, "--repository", str(repository)], stderr=subprocess.PIPE) as server:
        wait_until(lambda: catches_sigterm(server.pid))  # the last that it takes
        server.send_signal(number)
        assert (server.wait(60), server.communicate()[1]) == (0, b"")


@needs_proc
def test_sighup_does_not_end_a_server_that_starts(repository: Path) -> None:
    with subprocess.Popen([*SERVE, "--repository", str(repository)], stderr=subprocess.PIPE, text=True) as server:
        wait_until(lambda: catches_sigterm(server.pid))
        server.send_signal(signal.SIGHUP)
        assert server.stderr is not None
        assert any(line.rstrip().endswith("INFO ready") for line in server.stderr)
        server.terminate()
        assert server.wait(60) == 0


@needs_proc
@pytest.mark.parametrize(
    ("flags", "count"),
    [
        pytest.param([], 1, marks=pytest.mark.skipif(count_cores() == 1, reason="one core has no workers")),
        (["--workers", "2"], 2),
    ],
    ids=["the first of auto", "two"],
)
def test_workers_that_still_start_end_with_their_supervisor_and_status_0(
    repository: Path, flags: list[str], count: int
) -> None:
    with subprocess.Popen([*SERVE, "--repository", str(repository), *flags], stderr=subprocess.PIPE) as server:
        wait_until(lambda: len(children(server.pid)) == count)
        workers = children(server.pid)
        server.terminate()
        assert server.wait(60) == 0
        wait_until(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers))
        assert b"Traceback" not in server.communicate()[1]


@needs_proc
@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("unshare") is None, reason="only root makes a process 1")
def test_process_1_of_a_container_ends_with_status_0(repository: Path) -> None:
    """The kernel drops signals that process 1 doesn't catch."""
    apart = ["unshare", "--pid", "--fork", "--kill-child", *SERVE, "--repository", str(repository)]
    with subprocess.Popen(apart, stderr=subprocess.PIPE) as outer:
        wait_until(lambda: bool(children(outer.pid)) or outer.poll() is not None)
        if outer.poll() is not None:
            pytest.skip("namespaces can't be made here")
        first = int(children(outer.pid)[0])
        wait_until(lambda: catches_sigterm(first))
        os.kill(first, signal.SIGTERM)
        assert outer.wait(60) == 0
