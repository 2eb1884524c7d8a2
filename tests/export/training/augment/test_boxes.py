from __future__ import annotations

import numpy as np

from export.training.augment.boxes import cover, draw_boxes


def test_boxes_keep_their_limits_and_reach_every_place() -> None:
    boxes = draw_boxes(4000, (40, 60), (0.1, 0.5), (0.5, 2), np.random.default_rng(0))
    left, top, width, height = boxes.T
    assert (left.min(), top.min()) == (0, 0)
    assert ((left + width).max(), (top + height).max()) == (60, 40)
    share, ratio = width * height / 2400, width / height
    # Sides are whole pixels.
    assert (share.min() > 0.09, share.max() < 0.52) == (True, True)
    assert (ratio.min() > 0.45, ratio.max() < 2.2) == (True, True)
    np.testing.assert_allclose(np.quantile(share, [0.25, 0.5, 0.75]), [0.2, 0.3, 0.4], atol=0.02)
    assert abs(np.log(ratio).mean()) < 0.05


def test_a_box_that_cannot_fit_is_empty() -> None:
    boxes = draw_boxes(5, (4, 400), (0.9, 1), (0.5, 2), np.random.default_rng(0))
    assert (boxes[:, 2:] == 0).all()
    assert not cover(boxes, (4, 400)).any()


def test_what_a_box_covers() -> None:
    covered = cover(np.array([[1, 0, 2, 1], [0, 1, 3, 2]]), (3, 4))
    np.testing.assert_array_equal(covered[0], [[0, 1, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0]])
    np.testing.assert_array_equal(covered[1], [[0, 0, 0, 0], [1, 1, 1, 0], [1, 1, 1, 0]])
