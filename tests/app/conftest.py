from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.main import create_app
from app.settings import Settings
from tests.makers.artifacts import make_artifact
from tests.makers.running_server import RunningServer


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with one model, `tiny`."""
    make_artifact(tmp_path / "repository")
    return tmp_path / "repository"


@pytest.fixture
def open_client() -> Iterator[Callable[..., TestClient]]:
    """Opens a service with given settings and waits until every model was tried."""
    with ExitStack() as stack:

        def open_one(app: FastAPI | None = None, **settings: Any) -> TestClient:
            app = app or create_app(Settings(**{"poll_s": 0, **settings}))
            client = stack.enter_context(TestClient(app))
            assert client.portal is not None
            client.portal.call(app.state.services.catalog.wait_until_tried)
            return client

        yield open_one


@pytest.fixture
def client(repository: Path, open_client: Callable[..., TestClient]) -> TestClient:
    return open_client(repository=repository)


@pytest.fixture
def start_server(repository: Path) -> Iterator[Callable[..., RunningServer]]:
    """Starts real servers over `repository` with further flags, for what only signals and sockets can show, and ends
    what is left of them.
    """
    servers: list[RunningServer] = []

    def start(*flags: str, cwd: Path | None = None) -> RunningServer:
        servers.append(RunningServer("--repository", str(repository), "--poll-s", "0", *flags, cwd=cwd))
        return servers[-1]

    yield start
    for server in servers:
        server.end()
