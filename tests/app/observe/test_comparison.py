from __future__ import annotations

import pytest

from app.observe.comparison import find_quantile, find_share_above

BOUNDS = (1.0, 2.0, 4.0)
HISTOGRAM = (10.0, 20.0, 60.0, 10.0, 0.0)
"""So many up to each bound, above them all, and a sum that nobody asks for."""


@pytest.mark.parametrize(("value", "share"), [(0, 1), (0.5, 0.95), (1, 0.9), (2, 0.7), (3, 0.4), (4, 0), (9, 0)])
def test_a_share_above_a_value_is_linear_within_its_bucket(value: float, share: float) -> None:
    assert find_share_above(BOUNDS, HISTOGRAM, value) == pytest.approx(share)


def test_so_much_lies_above_a_quantile() -> None:
    for quantile in (0.05, 0.3, 0.5, 0.89):
        above = find_share_above(BOUNDS, HISTOGRAM, find_quantile(BOUNDS, HISTOGRAM, quantile))
        assert above == pytest.approx(1 - quantile)
    assert find_share_above(BOUNDS, (0.0,) * 5, 1) == 0
