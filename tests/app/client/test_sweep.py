import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from app.cli.main import main
from app.client.sweep import Speed, draw_plot, write_table
from tests.makers.pooled import make_pooled_artifact

SPEEDS = [Speed(1, 0.01, None), Speed(2, 0.01, None), Speed(4, 0.04, None)]
SVG = "{http://www.w3.org/2000/svg}"


def test_a_table_shows_images_a_second_with_bars() -> None:
    head, *lines, served = write_table(SPEEDS, 2).splitlines()
    assert served == "the server's batches have up to 2 rows"
    assert head.split() == ["batch", "images/s", "ms"]
    assert [line.split()[:3] for line in lines] == [["1", "100", "10.00"], ["2", "200", "10.00"], ["4", "100", "40.00"]]
    assert [line.count("█") for line in lines] == [15, 30, 15]


def test_the_plot_has_a_point_for_each_batch_size_within_its_frame() -> None:
    root = ET.fromstring(draw_plot("a < b", SPEEDS, 2))
    points = [(float(dot.get("cx", "")), float(dot.get("cy", ""))) for dot in root.iter(f"{SVG}circle")]
    assert [x for x, _ in points] == pytest.approx([70, 345, 620])
    assert points[1][1] < points[0][1] == points[2][1]
    assert all(64 <= y <= 312 for _, y in points)
    title, subtitle = ["".join(text.itertext()) for text in root.iter(f"{SVG}text")][:2]
    assert title == "a < b"
    assert subtitle == "images a second by batch size; the server's batches have up to 2 rows"
    assert [path.get("d") for path in root.iter(f"{SVG}path") if path.get("stroke-dasharray")] == ["M345.0 64V312"]


def test_one_batch_size_alone_can_be_plotted() -> None:
    ET.fromstring(draw_plot("single", SPEEDS[:1], 1))


def test_bench_measures_every_batch_size_with_and_without_features(
    repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_pooled_artifact(repository)
    plot = tmp_path / "speed.svg"
    given = ["bench", "pooled", "--repository", str(repository), "--seconds", "0", "--plot", str(plot)]
    assert main(given) == 0
    title, head, *lines, served = capsys.readouterr().out.splitlines()
    assert title == "pooled 1, fp32, on cpu"
    assert head.endswith("ms, features")
    assert [line.split()[0] for line in lines] == ["1", "2", "4", "8", "16", "32"]
    assert served in plot.read_text()


def test_bench_of_an_unknown_model_names_those_that_exist(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "absent", "--repository", str(repository)]) == 1
    assert "there are: tiny" in capsys.readouterr().err
    assert main(["bench", "tiny", "--version", "7", "--repository", str(repository)]) == 1
    assert "has no tiny version 7; there are: tiny" in capsys.readouterr().err
