"""Copied beside uvicorn's own tests of its HTTP protocol, in place of their conftest.py: they run over ours.

Their stand-ins for a transport and a loop get what ours asks for beside uvicorn's: a clock that their run_later moves,
call_soon at once, and a transport that, as one under TLS, can't close its side alone.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest
from tests.protocols import test_http as theirs

from app.main import create_app
from app.server.connection import ServiceProtocol
from app.server.fast_path import FastPath
from app.server.lasting_connection import Deadlines
from app.settings import Settings


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(params=[False, True], ids=["general", "beside the fast path"])
def http_protocol_cls(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    services = create_app(Settings(repository=tmp_path)).state.services
    protocol = functools.partial(
        ServiceProtocol,
        deadlines=Deadlines(10.0, 10.0),
        journal=services.journal,
        fast_path=FastPath(services) if request.param else None,
    )
    protocol.__name__ = "HttpToolsProtocol"  # type: ignore[attr-defined]  # by which they tell it from h11's
    return protocol


@pytest.fixture(autouse=True)
def stand_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    run_later = theirs.MockLoop.run_later

    def move(loop: Any, with_delay: float) -> None:
        now[0] += with_delay
        run_later(loop, with_delay)

    for owner, name, what in (
        (theirs.MockLoop, "run_later", move),
        (theirs.MockLoop, "time", lambda loop: now[0]),
        (theirs.MockLoop, "call_soon", lambda loop, call, *args: call(*args)),
        (theirs.MockTransport, "can_write_eof", lambda transport: False),
        (theirs.MockTransport, "set_write_buffer_limits", lambda transport, high=None: None),
    ):
        monkeypatch.setattr(owner, name, what, raising=False)
