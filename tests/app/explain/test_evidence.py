"""Evidence maps: their arithmetic, without a server."""

import numpy as np
import pytest

from app.errors import NotExplainable
from app.explain.evidence import map_activation, scale_evidence
from app.explain.occlusion import GRIDS, Grid, choose_fill, choose_grid, cover, spread
from artifact.classifier import Classifier
from artifact.image_policy import ImagePolicy

POLICY = ImagePolicy(height=28, width=28, channels=1, polarity="light-on-dark")


def test_a_class_activation_map_sums_the_channels_with_the_class_weights() -> None:
    features = np.float32([[[1, 0], [0, 0]], [[0, 0], [0, 2]]])  # two channels of 2 x 2
    classifier = Classifier(np.float32([[1, 0], [3, -1]]), np.float32([0, 0]))
    assert map_activation(features, classifier, 0) == pytest.approx(np.float32([[1 / 6, 0], [0, 1]]))


def test_evidence_against_a_class_is_no_evidence_for_it() -> None:
    assert scale_evidence(np.float32([[-1, 2], [4, 0]])).tolist() == [[0, 0.5], [1, 0]]
    assert scale_evidence(np.float32([[-1, -2]])).tolist() == [[0, 0]]


def test_one_sigmoid_speaks_for_the_second_class_and_against_the_first() -> None:
    classifier = Classifier(np.float32([[2], [-1]]), np.float32([0]))
    assert classifier.column(1).tolist() == [2, -1]
    assert classifier.column(0).tolist() == [-2, 1]


@pytest.mark.parametrize("grid", GRIDS)
def test_patches_cover_every_pixel_and_nothing_twice_over(grid: Grid) -> None:
    white = np.full((28, 28, 1), 255, np.uint8)
    copies = np.stack(list(cover(white, grid, np.uint8([0]))))
    assert len(copies) == grid.rows
    assert (copies == 0).any(axis=0).all()
    largest = -(-28 * grid.patch // grid.cells) + 1
    assert ((copies == 0).sum(axis=(1, 2, 3)) <= largest**2).all()


def test_a_drop_is_spread_over_the_cells_that_its_patch_covered() -> None:
    drops = np.zeros((2, 2), np.float32)
    drops[0, 0] = 1
    assert spread(drops, Grid(3, 2)).tolist() == [[1, 0.5, 0], [0.5, 0.25, 0], [0, 0, 0]]


def test_ink_is_covered_with_the_background_and_a_photo_with_its_mean_color() -> None:
    black = np.zeros((2, 2, 3), np.uint8)
    assert choose_fill(black, POLICY.model_copy(update={"polarity": "dark-on-light"})).tolist() == [255]
    assert choose_fill(black, POLICY).tolist() == [0]
    halves = np.uint8([[[0, 10, 20], [100, 30, 20]]])
    assert choose_fill(halves, ImagePolicy(height=1, width=2, channels=3)).tolist() == [50, 20, 20]


def test_a_slow_network_gets_a_coarser_grid_and_a_too_slow_one_is_said_so() -> None:
    def grid_for(row_s: float) -> Grid:
        return choose_grid("vgg16", POLICY, {1: row_s * 2, 8: row_s * 8}, 10.0)

    assert [grid_for(row_s) for row_s in (0.001, 0.1, 0.3)] == list(GRIDS)
    with pytest.raises(NotExplainable, match=r"25 runs of 500 ms.*10,000 ms away.*timeout_ms"):
        grid_for(0.5)


def test_an_input_smaller_than_the_grid_gets_one_that_fits() -> None:
    tiny = ImagePolicy(height=3, width=3, channels=1)
    assert choose_grid("tiny", tiny, {1: 1e-6}, 10.0) == Grid(1, 1)
