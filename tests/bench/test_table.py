import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from app.client.load.open_loop import OpenResult
from bench.load.limit import Limit
from bench.load.measurements import OpenSample, merge
from bench.load.plot import draw, spread
from bench.load.table import align, write_cost_of_content, write_model
from tests.makers.measured import result, sample

RATES = {"convserve": {1: 4000.0, 8: 30000.0}, "mosec": {1: 100.0, 8: 1000.0}}


def test_medians_are_taken_over_rounds_and_errors_added_up() -> None:
    rounds = [sample("convserve", 1, rate, errors=1, p50_ms=rate / 10) for rate in (10.0, 40.0, 20.0)]
    found = merge(rounds)
    assert found is not None
    assert (found.rate, found.p50_ms, found.errors, found.round) == (20.0, 2.0, 3, 3)
    assert merge([]) is None


def test_the_limit_is_the_loop_with_the_best_median() -> None:
    found = result("resnet18", {})
    found.limits = [{"a": Limit(10, "a"), "b": Limit(12, "b")}, {"a": Limit(30, "a"), "b": Limit(14, "b")}]
    assert found.limit() == Limit(20, "a")


def test_a_table_shows_ratios_to_ours_and_to_the_limit() -> None:
    found = result("lenet5", RATES)
    found.failures["bentoml"] = "can't be started: no such file"
    lines = write_model(found).splitlines()
    assert lines[:3] == [
        "== lenet5: an image",
        "in-process limit 50,000.0 images/s: a loop",
        "left out: bentoml can't be started: no such file",
    ]
    rows = [line.split() for line in lines if line.split()[1:2] in (["convserve"], ["mosec"])]
    assert rows[0][:3] == ["1", "convserve", "4,000.0"]
    assert rows[0][-1] == "0.08"
    assert rows[1][-2:] == ["40.00", "0.00"]
    assert rows[3][-2:] == ["30.00", "0.02"]


def test_the_open_loop_has_a_table_of_its_own() -> None:
    found = result("lenet5", RATES)
    found.open_samples = [OpenSample("convserve", 0, OpenResult(200, 199, 1, 2, 3, 0, 1, 0.02))]
    last = write_model(found).splitlines()[-1].split()
    assert last == ["200", "convserve", "199.0", "1.00", "2.00", "3.00", "1", "2.0%"]


def test_the_cost_of_content_is_a_line_for_each_number_of_connections() -> None:
    content = result("lenet5-content", {"convserve": {1: 3000.0, 8: 15000.0}})
    content.samples[1] = sample("convserve", 8, 15000.0, cpu_ms=0.08)
    lines = write_cost_of_content(result("lenet5", RATES), content).splitlines()
    assert lines[1].startswith("1 connections: 3,000.0 for 4,000.0 requests/s (0.75 x), +0 us")
    assert lines[2] == "8 connections: 15,000.0 for 30,000.0 requests/s (0.50 x), +30 us of server CPU a request"


def test_columns_are_aligned() -> None:
    assert align(["n", "name"], [["1", "a"], ["100", "bc"]]) == "  n  name\n  1  a\n100  bc"


@pytest.mark.parametrize(
    ("heights", "apart"),
    [([0, 50, 100], [0, 50, 100]), ([10, 12], [6, 16]), ([0, 1, 2, 90], [-9, 1, 11, 90]), ([], [])],
)
def test_names_are_moved_apart_as_little_as_needed(heights: list[float], apart: list[float]) -> None:
    assert spread(heights, 10) == apart


def test_the_plot_is_svg_with_a_line_a_server(tmp_path: Path) -> None:
    draw(result("lenet5", RATES), tmp_path / "plot.svg")
    text = (tmp_path / "plot.svg").read_text()
    ET.fromstring(text)
    for name in ("convserve", "mosec", "in-process limit", "lenet5, requests a second"):
        assert f"<!-- {name} -->" in text
