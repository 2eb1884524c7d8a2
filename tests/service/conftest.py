"""A real server in a process of its own, for what only signals and sockets can show."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from artifacts import make_artifact
from running_server import RunningServer


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
        server.end()
