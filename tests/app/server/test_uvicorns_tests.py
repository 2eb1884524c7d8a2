"""uvicorn's own tests of its HTTP protocol over ours, which takes its place: all pass but for what is meant otherwise.

They are taken from the source package of the installed version and never committed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from importlib.metadata import version
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.makers.sources import ROOT

NO_WEBSOCKET = "a wish for another protocol is passed over without a word (RFC 9110, 7.8): this service speaks HTTP/1.1"
MEANT = {
    "test_value_returned": "what the app returns is nobody's: Starlette returns nothing",
    "test_shutdown_during_idle": "an idle connection stays a moment: a request may be on its way",
    "test_invalid_http_request": "400 as problem+json, as every other error",
    "test_supported_upgrade_request": NO_WEBSOCKET,
    "test_unsupported_ws_upgrade_request_warn_on_auto": NO_WEBSOCKET,
    "test_header_upgrade_is_not_websocket_depend_installed": NO_WEBSOCKET,
    "test_header_upgrade_is_websocket_depend_not_installed": NO_WEBSOCKET,
    "test_keepalive_timeout_with_pipelined_websocket_upgrade": NO_WEBSOCKET,
    "test_http2_upgrade_request": NO_WEBSOCKET,
    "test_fragmentation": "runs a whole uvicorn, without our protocol",
}


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """A folder with uvicorn's `tests`, and our conftest.py in them."""
    name = f"uvicorn-{version('uvicorn')}"
    wanted = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", ":all:", "-d", tmp_path]
    fetched = subprocess.run([*wanted, name.replace("-", "==")], capture_output=True, text=True, timeout=200)
    if fetched.returncode:
        pytest.skip(f"the source package of {name} can't be had: {fetched.stderr.strip().splitlines()[-1]}")
    with tarfile.open(tmp_path / f"{name}.tar.gz") as package:
        package.extractall(tmp_path, filter="data")
    shutil.copy(Path(__file__).with_name("uvicorns_conftest.py"), tmp_path / name / "tests" / "conftest.py")
    return tmp_path / name


@pytest.mark.slow
def test_what_uvicorn_holds_of_its_protocol_ours_does_too(theirs: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    run = [sys.executable, "-P", "-m", "pytest", "-q", "-c", os.devnull, "--rootdir", theirs, "-p", "no:cacheprovider"]
    path = os.pathsep.join((str(theirs), str(ROOT)))
    done = subprocess.run(
        [*run, f"--junitxml={report}", "tests/protocols/test_http.py"],
        cwd=theirs,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=250,
    )
    cases = list(ElementTree.parse(report).iter("testcase"))
    failed = {case.attrib["name"] for case in cases if len(case) and case[0].tag in ("failure", "error")}
    kinds = {name.partition("[")[0] for name in failed}
    assert len(cases) > 150
    assert kinds == set(MEANT), done.stdout[-5000:]
