"""A training that is killed while it writes goes on from the last whole checkpoint, bit for bit."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from export.training.checkpoint import Checkpoint, State
from tests.export.training.writes_until_killed import MOMENTS, build, fill
from tests.makers.sources import ROOT


def hold_whole(folder: Path, *epochs: int) -> None:
    """The last checkpoint is that of one of `epochs`, with each of its values, and the next one is written over it."""
    kept = Checkpoint(folder)
    state = kept.read()
    assert state.epoch in epochs
    found, expected = kept.load(state.epoch), build()
    fill(expected, state.epoch)
    for one, other in zip(
        [*found.weights, *found.optimizer.variables], [*expected.weights, *expected.optimizer.variables], strict=True
    ):
        np.testing.assert_array_equal(one, other)
    kept.write(found, State(epoch=state.epoch + 1, best_epoch=state.epoch))
    assert sorted(path.name for path in folder.iterdir()) == [
        *(f"epoch-{epoch:04}.keras" for epoch in (state.epoch, state.epoch + 1)),
        "state.json",
    ]


@pytest.mark.parametrize(("moment", "epoch"), list(zip(MOMENTS, (2, 2, 3), strict=True)), ids=MOMENTS)
def test_a_write_that_is_killed_leaves_a_whole_checkpoint(moment: str, epoch: int, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "tests.export.training.writes_until_killed", tmp_path, moment]
    killed = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert (killed.returncode, killed.stdout) == (-9, "1\n2\n"), killed.stderr
    hold_whole(tmp_path, epoch)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_fifty_kills_at_any_moment_leave_whole_checkpoints(tmp_path: Path) -> None:
    moments = random.Random(7)
    for kill in range(50):
        folder = tmp_path / str(kill)
        words = [sys.executable, "-m", "tests.export.training.writes_until_killed", folder]
        with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "1\n"
            time.sleep(moments.uniform(0, 0.3))
            writer.kill()
            written = 1 + len(writer.stdout.read().splitlines())
        hold_whole(folder, written, written + 1)
