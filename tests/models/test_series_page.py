"""docs/series.md is what docs/series.py makes of the networks."""

import importlib.util
from pathlib import Path

import pytest

from models.registry import NETWORKS

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture(scope="module")
def series():
    spec = importlib.util.spec_from_file_location("docs_series", DOCS / "series.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def written():
    return (DOCS / "series.md").read_text()


# A network of each kind; building all takes a quarter of a minute.
@pytest.mark.parametrize("name", ["lenet5", "alexnet", "vgg16", "googlenet", "inception_v3", "resnet18", "se_resnet50"])
def test_the_page_has_the_section_that_its_script_writes(name, series, written):
    assert series.section(name) in written


@pytest.mark.slow
def test_the_page_is_what_its_script_writes(series, written):
    assert series.page() == written


def test_the_page_tells_of_every_network_and_of_no_other(series, written):
    assert list(series.TEXTS) == list(NETWORKS)
    assert [line.removeprefix("## ") for line in written.splitlines() if line.startswith("## ")] == list(NETWORKS)
    for name, text in series.TEXTS.items():
        sentences = text["story"].count(". ") + text["story"].count(".\\\n") + 1
        assert 2 <= sentences <= 6, name
        assert ("error" in text) == bool(NETWORKS[name].published_error), name


def test_what_a_paper_states_is_met_or_the_difference_explained(series):
    stated = 0
    for name, text in series.TEXTS.items():
        states = text.get("states", {})
        for what in ("parameters", "multiply_adds"):
            if what in states:
                stated += 1
                apart = abs(getattr(NETWORKS[name], what) / states[what] - 1)
                assert apart <= series.TOLERANCE or len(states["why"]) > 10, f"{name}: {what}"
                assert apart <= 0.2, f"{name}: {what}"
    assert stated >= 15


def test_a_stage_that_is_not_counted_is_noticed(series, monkeypatch):
    monkeypatch.setattr(series, "layer_multiply_adds", lambda layer: 0)
    with pytest.raises(ValueError, match=r"lenet5: its stages sum to 61,706 parameters and 0 products"):
        series.section("lenet5")
