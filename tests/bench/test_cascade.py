"""The cascade's benchmark: what it counts, and what it says of it."""

from pathlib import Path

import numpy as np
import pytest

from app.settings import Settings
from bench.cascade import ALIAS, Tally, measure, report
from export.data.samples import ArraySamples
from export.report.cascade import Threshold
from tests.makers.artifacts import make_artifact, make_graph
from tests.makers.threaded_server import serve_in_thread

CHOSEN = Threshold(probability=0.9, accuracy=0.93, asked=0.2, images=6000, first_accuracy=0.9, second_accuracy=0.93)


def test_every_image_is_posted_to_each_by_turns_and_judged(tmp_path: Path) -> None:
    make_artifact(tmp_path, "small")
    make_artifact(tmp_path, "large", size=16, graph=make_graph(size=16, sharpness=1e-2))
    levels = np.uint8([0, 90, 128, 160, 255] * 3)
    samples = ArraySamples(np.broadcast_to(levels[:, None, None], (15, 8, 8)).copy(), [0, 1, 2, 2, 4] * 3)
    settings = Settings(repository=tmp_path, aliases={ALIAS: {"first": "small", "then": "large", "when": "p < 0.9"}})
    with serve_in_thread(settings) as port:
        tallies = measure(port, (ALIAS, "large"), samples, 12, connections=3)
    both, alone = tallies[ALIAS], tallies["large"]
    assert (both.images, alone.images, both.skipped) == (12, 12, 0)
    assert both.answers_of == {"small": 7, "large": 5}
    assert alone.answers_of == {"large": 12}
    assert (both.right, alone.right) == (10, 10)  # 160 is nearer to 191 than to 128
    assert min(both.rate, alone.rate) > 0


@pytest.mark.parametrize(
    ("seconds", "right", "skipped", "status"),
    [(1.0, 928, 0, 0), (1.2, 928, 0, 1), (1.0, 927, 0, 1), (1.0, 928, 1, 1)],
)
def test_both_bounds_decide_the_exit_status(
    seconds: float, right: int, skipped: int, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    both = Tally(seconds, right, 1000, skipped=skipped)
    both.answers_of.update({"small": 800, "large": 200})
    assert report("small", "large", CHOSEN, {ALIAS: both, "large": Tally(2.0, 930, 1000)}) == status
    said = capsys.readouterr().out
    assert "of 1,000 test images large answered 20.0%" in said
    assert ("FAILED" in said) == bool(status)
