import keras
import numpy as np
import pytest

from models.response_normalization import LocalResponseNormalization


def test_each_channel_is_divided_by_the_energy_of_its_neighbors():
    x = np.random.default_rng(0).normal(scale=30, size=(2, 3, 4, 7)).astype("float32")
    expected = np.empty_like(x)
    for channel in range(7):
        neighbors = x[..., max(0, channel - 2) : channel + 3]
        energy = (neighbors.astype("float64") ** 2).sum(axis=-1)
        expected[..., channel] = x[..., channel] / (2 + 1e-4 * energy) ** 0.75
    y = keras.ops.convert_to_numpy(LocalResponseNormalization()(x))
    np.testing.assert_allclose(y, expected, rtol=1e-5)


def test_an_even_size_is_refused():
    with pytest.raises(ValueError, match=r"size=4: .* odd"):
        LocalResponseNormalization(size=4)


def test_a_saved_network_loads_with_its_settings(tmp_path):
    model = keras.Sequential([keras.Input((4, 4, 6)), LocalResponseNormalization(3, 1.0, 1e-3, 0.5)])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras").layers[0]
    assert (loaded.size, loaded.k, loaded.alpha, loaded.beta) == (3, 1.0, 1e-3, 0.5)
