"""A real server in a process of its own, for what only signals and sockets can show."""

import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from artifacts import make_artifact


class RunningServer:
    """`convserve serve` as a user starts it; `wait_for` reads its log until a line matches."""

    def __init__(self, *flags: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "app", "serve", "--port", "0", *flags], stderr=subprocess.PIPE, text=True
        )
        self.lines: list[str] = []
        self.port = int(self.wait_for(r"at http://127\.0\.0\.1:(\d+)").group(1))
        self.wait_for(r"INFO ready$")

    def wait_for(self, pattern: str) -> re.Match[str]:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line)
            if match := re.search(pattern, line.rstrip()):
                return match
        raise AssertionError(f"the server ended without saying {pattern}: {''.join(self.lines)}")

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Signal it and give back its exit status."""
        self.process.send_signal(number)
        _, rest = self.process.communicate(timeout=60)
        self.lines.append(rest)
        return self.process.returncode


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    make_artifact(tmp_path)
    return tmp_path


@pytest.fixture
def start_server(repository: Path) -> Iterator[Callable[..., RunningServer]]:
    """Starts servers over `repository` with further flags, and ends what is left of them."""
    servers: list[RunningServer] = []

    def start(*flags: str) -> RunningServer:
        servers.append(RunningServer("--repository", str(repository), *flags))
        return servers[-1]

    yield start
    for server in servers:
        if server.process.poll() is None:
            server.process.kill()
        server.process.communicate()
