"""What a connection and its requests held goes with them, not when the garbage collector next looks at everything."""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from pathlib import Path

import pytest

from app.settings import Settings
from bench.fuzz import check_sound, fuzz
from tests.makers.artifacts import make_artifact
from tests.makers.threaded_server import serve_in_thread

OURS = ("app", "artifact", "fastapi", "httptools", "multipart", "starlette", "uvicorn")


@pytest.mark.parametrize("fast", [True, False], ids=["fast", "general"])
def test_no_request_leaves_a_cycle_behind(tmp_path: Path, fast: bool) -> None:
    make_artifact(tmp_path)
    with serve_in_thread(Settings(repository=tmp_path), fast=fast) as port:
        asyncio.run(fuzz(port, 200, seed=1))  # whatever is made once
        gc.collect()
        gc.disable()
        gc.set_debug(gc.DEBUG_SAVEALL)
        try:
            asyncio.run(check_sound(port, 2))
            statuses, _, _ = asyncio.run(fuzz(port, 600, seed=2))
            gc.collect()
            kinds = Counter(type(found) for found in gc.garbage)
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
            gc.enable()
    assert statuses.keys() >= {200, 400}
    assert not {kind: count for kind, count in kinds.items() if kind.__module__.split(".")[0] in OURS}
