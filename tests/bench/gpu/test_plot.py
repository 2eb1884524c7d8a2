from xml.etree import ElementTree

from bench.gpu.plot import draw_lines

NAMESPACE = "{http://www.w3.org/2000/svg}"


def test_lines_rise_with_their_values_and_are_named_apart() -> None:
    root = ElementTree.fromstring(draw_lines("a & b", "rows", {"low": {1: 10, 4: 20}, "other": {1: 10, 4: 20, 8: 0}}))
    (first, second) = root.findall(f"{NAMESPACE}polyline")
    points = [tuple(map(float, point.split(","))) for point in first.attrib["points"].split()]
    assert points[0][0] < points[1][0]
    assert points[0][1] > points[1][1], "y grows downwards"
    assert second.attrib["points"] == first.attrib["points"], "a value of 0 is left out"
    texts = {text.text: float(text.attrib["y"]) for text in root.findall(f"{NAMESPACE}text")}
    assert abs(texts["low"] - texts["other"]) >= 14
    assert "a & b" in texts


def test_nothing_to_draw_is_an_empty_plot() -> None:
    assert not ElementTree.fromstring(draw_lines("t", "x", {"none": {1: 0}})).findall(f"{NAMESPACE}polyline")
