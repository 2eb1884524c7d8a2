"""Servers under load, ours and the peers alike: started in sessions of their own, asked until they are right, frozen
while others are measured, ended with all their descendants.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.request import urlopen

from app.client.load.connection import Answer, Connection, Request
from bench.load.process_tree import cpu_seconds, memory_mb, signal_tree
from bench.load.shot import Shot, find_top1
from deploy.ports import free_port

OURS = "convserve"
_START_S = 180.0
_STOP_S = 15.0
# Between two tries to get an answer; ready times are this coarse.
_AGAIN_S = 0.01
# A server is idle that takes less than this share of a core over a look.
_LOOK_S, _IDLE_SHARE, _IDLE_S = 0.1, 0.25, 20.0


class StartFailed(Exception):
    """A server that ended, or that didn't give a right answer in time. The message is one line."""


@dataclass(frozen=True)
class Launch:
    """How a server is started, and what is sent to it. `prepare` is called with the port before each start."""

    name: str
    command: Callable[[int], list[str]]
    shot: Shot
    label: str
    """The right top-1."""
    version: str
    folder: Path
    """Where it runs, and where its log goes."""
    variables: Callable[[int], dict[str, str]] = field(default=lambda port: {})
    prepare: Callable[[int], None] = field(default=lambda port: None)
    freezes: bool = True
    cwd: Path | None = None
    ready_path: str = ""
    """Answers 200 once every process serves, where the first of them answers sooner."""


class Server:
    """A running, right server."""

    def __init__(self, launch: Launch) -> None:
        """Start it and wait for its first right answer. Raises StartFailed, leaving nothing behind."""
        self.launch = launch
        self.port = free_port()
        self._stopped = False
        launch.folder.mkdir(parents=True, exist_ok=True)
        launch.prepare(self.port)
        self._log = launch.folder / f"{launch.name}.log"
        began = time.perf_counter()
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                launch.command(self.port),
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                cwd=launch.cwd or launch.folder,
                env=_environment(launch.variables(self.port)),
                start_new_session=True,
            )
        self.pid = self._process.pid
        try:
            self.shot = replace(launch.shot, expected=self._wait_until_right(began + _START_S))
            self.ready_s = time.perf_counter() - began  # as for every peer
            self._wait_until_ready(began + _START_S)
        except BaseException:
            self.stop()
            raise

    def cpu_seconds(self) -> float:
        return cpu_seconds(self.pid)

    def memory_mb(self) -> tuple[float, float]:
        return memory_mb(self.pid)

    def wait_until_idle(self) -> None:
        """Until it has done what clients left behind that are gone (not every server notices), but not for ever."""
        deadline = time.perf_counter() + _IDLE_S
        while time.perf_counter() < deadline:
            before = self.cpu_seconds()
            time.sleep(_LOOK_S)
            if self.cpu_seconds() - before < _IDLE_SHARE * _LOOK_S:
                return

    def freeze(self) -> None:
        """Take it off the cores: what spins or keeps watch while idle would slow the one that is measured."""
        signal_tree(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        signal_tree(self.pid, signal.SIGCONT)

    def stop(self) -> None:
        """SIGTERM to the first process, SIGKILL to whatever is left of its tree after a while."""
        if self._stopped:
            return
        self._stopped = True
        self.thaw()
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                signal_tree(self.pid, signal.SIGKILL)
                self._process.wait()
        # What outlived its parent is still of its session.
        signal_tree(self.pid, signal.SIGKILL)

    def _wait_until_right(self, deadline: float) -> str:
        """The text that shows the right top-1 in this server's answers."""
        request = self.launch.shot.read()
        said = "nothing"
        while time.perf_counter() < deadline:
            if self._process.poll() is not None:
                raise StartFailed(f"it ended with status {self._process.returncode}: {self._last_line()}")
            try:
                answer = asyncio.run(_ask(self.port, request))
            except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
                said = type(error).__name__
            else:
                text = answer.body.decode(errors="replace")
                said = f"{answer.status} {text[:200]}"
                if answer.status == 200:
                    if (found := find_top1(text, self.launch.label)) is None:
                        raise StartFailed(f"its top-1 isn't {self.launch.label!r}: {said}")
                    return found
            time.sleep(_AGAIN_S)
        raise StartFailed(f"no right answer within {_START_S:.0f} s (last: {said}): {self._last_line()}")

    def _wait_until_ready(self, deadline: float) -> None:
        while self.launch.ready_path and time.perf_counter() < deadline:
            with suppress(OSError), urlopen(f"http://127.0.0.1:{self.port}{self.launch.ready_path}", timeout=5):
                return
            time.sleep(_AGAIN_S)

    def _last_line(self) -> str:
        lines = [line for line in self._log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
        return f"{lines[-1].strip()[:200]} ({self._log})" if lines else f"it printed nothing ({self._log})"


async def _ask(port: int, request: Request) -> Answer:
    connection = Connection(port)
    try:
        async with asyncio.timeout(60):
            return await connection.send(request)
    finally:
        connection.close()


def _environment(variables: dict[str, str]) -> dict[str, str]:
    """Ours without what would configure the service."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CONVSERVE_")}
    return {**kept, **variables}


def our_command(repository: Path) -> Callable[[int], list[str]]:
    """`convserve serve` as it comes."""
    base = [sys.executable, "-m", "app", "serve", "--repository", str(repository)]
    return lambda port: [*base, "--port", str(port)]


def peer_task(**values: object) -> dict[str, str]:
    """What bench/load/peers/classifier.py reads."""
    return {"BENCH_PEER": json.dumps(values)}
