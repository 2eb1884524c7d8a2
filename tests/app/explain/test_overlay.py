import numpy as np
import pytest
from PIL import Image

from app.explain.overlay import colorize, draw_evidence, fit_for_display

GRAY = Image.new("RGB", (400, 200), (100, 100, 100))
WHOLE = (0.0, 0.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("size", "shown"),
    [((4000, 3000), (1024, 768)), ((600, 400), (600, 400)), ((28, 28), (256, 256)), ((5000, 1), (1024, 1))],
)
def test_an_image_is_shown_between_256_and_1024_pixels_long(size: tuple[int, int], shown: tuple[int, int]) -> None:
    assert fit_for_display(Image.new("L", size)).size == shown


def test_evidence_is_drawn_where_it_lies_and_the_rest_is_left_alone() -> None:
    evidence = np.zeros((2, 4), np.float32)
    evidence[0, 3] = 1
    drawn = np.asarray(draw_evidence(GRAY, evidence, WHOLE)).astype(int)
    changed = np.abs(drawn - 100).sum(axis=2)
    assert changed[50, 350] > 100
    assert (changed[:, :150] == 0).all()


def test_what_the_network_did_not_see_is_darkened() -> None:
    drawn = np.asarray(draw_evidence(GRAY, np.zeros((2, 2), np.float32), (0.25, 0, 0.75, 1)))
    assert drawn[100, 50].tolist() == [45, 45, 45]
    assert drawn[100, 200].tolist() == [100, 100, 100]


def test_a_frame_that_reaches_past_the_edges_keeps_its_place() -> None:
    """Ink in the corner: the frame around it begins outside of the image, and so does its map."""
    evidence = np.zeros((4, 4), np.float32)
    evidence[2:, 2:] = 1  # the frame's lower right quarter: the image's upper left one
    drawn = np.asarray(draw_evidence(GRAY, evidence, (-0.5, -0.5, 0.5, 0.5))).astype(int)
    changed = np.abs(drawn - 100).sum(axis=2)
    assert changed[50, 100] > 100
    assert drawn[150, 300].tolist() == [45, 45, 45]


def test_colors_rise_in_brightness_with_the_evidence() -> None:
    brightness = colorize(np.linspace(0, 1, 21, dtype=np.float32)).mean(axis=1)
    assert (np.diff(brightness) > 0).all()
