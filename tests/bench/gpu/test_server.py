from pathlib import Path

import pytest

from bench.gpu.server import ServerFailed, serving
from tests.makers.artifacts import make_artifact
from tests.makers.sources import ROOT, imports_of


def test_a_server_that_is_ready_has_a_port_and_is_ended(tmp_path: Path) -> None:
    make_artifact(tmp_path)
    with serving("--repository", str(tmp_path)) as server:
        assert server.port > 0
    assert server.process.returncode == 0


def test_a_server_that_ends_instead_says_why() -> None:
    with pytest.raises(ServerFailed, match="no-such-flag"), serving("--no-such-flag"):
        pass


def test_what_runs_on_a_rented_machine_needs_nothing_of_the_tests() -> None:
    for path in (ROOT / "bench" / "gpu").glob("*.py"):
        assert not {name for name in imports_of(path) if name.startswith(("tests", "pytest"))}, path
