"""A run on Ray Data whose worker, or whose own process, is killed: every image is answered once."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.makers.artifacts import gray_image, make_artifact, make_slow_graph
from tests.makers.waiting import wait_until

pytest.importorskip("ray", reason="Ray isn't installed: make test-cluster has it in an environment of its own")
parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow isn't installed: make test-cluster has it")

IMAGES, IN_BLOCK = 400, 20
MARK = "CONVSERVE_TEST_RUN"


class Run:
    """One start of the command; its Ray processes inherit the mark."""

    def __init__(self, folder: Path, number: int) -> None:
        self._mark = f"{MARK}={folder}-{number}\0".encode()
        words = ["slow", str(folder / "images"), "--repository", str(folder / "repository")]
        options = ["--out", str(folder / "out"), "--block-images", str(IN_BLOCK), "--workers", "2"]
        self._log = folder / f"log-{number}"
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "deploy.ray_batch", *words, *options],
                env={**os.environ, MARK: f"{folder}-{number}"},
                stderr=log,
            )

    def find_workers(self) -> list[int]:
        """The processes that classify."""
        return [number for number in self.find_all() if b"MapWorker" in read(f"/proc/{number}/cmdline")]

    def find_all(self) -> list[int]:
        """Every process that this start has brought, but itself."""
        numbers = (int(path.name) for path in Path("/proc").glob("[0-9]*"))
        marked = (number for number in numbers if self._mark in read(f"/proc/{number}/environ"))
        return [number for number in marked if number != self.process.pid]

    def end(self) -> str:
        """What it said."""
        self.process.wait(240)
        return self._log.read_text()


def read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError:  # the process has ended
        return b""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[], Run]]:
    make_artifact(tmp_path / "repository", name="slow", graph=make_slow_graph())
    (tmp_path / "images").mkdir()
    for number in range(IMAGES):
        (tmp_path / "images" / f"{number:03}.png").write_bytes(gray_image(number % 256))
    runs: list[Run] = []

    def start_one() -> Run:
        runs.append(Run(tmp_path, len(runs)))
        return runs[-1]

    yield start_one
    for run in runs:
        run.process.kill()
        run.process.wait()
        for number in run.find_all():
            try:
                os.kill(number, signal.SIGKILL)
            except ProcessLookupError:
                continue


def blocks_in(folder: Path) -> list[Path]:
    return sorted((folder / "out").glob("*.parquet"))


def assert_every_image_once(folder: Path) -> None:
    rows = parquet.read_table(folder / "out").to_pylist()
    assert sorted(row["path"] for row in rows) == sorted(map(str, (folder / "images").iterdir()))
    assert {row["error"] for row in rows} == {None}


def test_a_killed_worker_costs_no_image(start: Callable[[], Run], tmp_path: Path) -> None:
    run = start()
    wait_until(lambda: len(blocks_in(tmp_path)) >= 2, 120)
    worker, *_ = run.find_workers()
    os.kill(worker, signal.SIGKILL)
    said = run.end()
    assert run.process.returncode == 0, said
    assert f"{IMAGES} images, 0 failed" in said
    assert_every_image_once(tmp_path)


def test_a_killed_run_goes_on_where_it_was(start: Callable[[], Run], tmp_path: Path) -> None:
    first = start()
    wait_until(lambda: len(blocks_in(tmp_path)) >= 2, 120)
    first.process.kill()
    first.process.wait()
    before = {path: path.stat().st_mtime_ns for path in blocks_in(tmp_path)}
    assert len(before) < IMAGES // IN_BLOCK
    wait_until(lambda: not first.find_workers(), 60)  # Ray ends them
    second = start()
    said = second.end()
    assert second.process.returncode == 0, said
    assert f"{len(before) * IN_BLOCK} of {IMAGES} images are in" in said
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert_every_image_once(tmp_path)
