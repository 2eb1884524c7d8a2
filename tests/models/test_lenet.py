import numpy as np
import pytest

from models.lenet import lenet5
from models.registry import NETWORKS


def test_lenet5_has_the_registered_parameters():
    assert lenet5().count_params() == NETWORKS["lenet5"].parameters == 61_706


@pytest.mark.parametrize("size", [28, 32])
def test_both_sizes_give_the_same_network(size):
    model = lenet5(input_shape=(size, size, 1))
    assert model.count_params() == 61_706
    assert model.input.name == "image"
    assert model.layers[-1].name == "logits"
    assert model.layers[-1].activation.__name__ == "linear"
    assert np.asarray(model(np.zeros((2, size, size, 1), "float32"))).shape == (2, 10)


def test_a_padded_28x28_image_answers_as_the_same_image_in_32x32():
    small, large = lenet5(input_shape=(28, 28, 1)), lenet5()
    large.set_weights(small.get_weights())
    image = np.random.default_rng(0).normal(size=(1, 28, 28, 1)).astype("float32")
    padded = np.pad(image, ((0, 0), (2, 2), (2, 2), (0, 0)))
    np.testing.assert_allclose(np.asarray(small(image)), np.asarray(large(padded)), atol=1e-6)


def test_other_sizes_are_refused_with_the_remedy():
    with pytest.raises(ValueError, match=r"30x30 don't fit.*32x32 or 28x28: resize"):
        lenet5(input_shape=(30, 30, 1))
