"""AlexNet, ZFNet, VGG: variants and sizes."""

from functools import partial

import keras
import numpy as np
import pytest

from models.alexnet import alexnet
from models.counts import multiply_adds
from models.vgg import vgg, vgg11_series
from models.zfnet import zfnet


def sizes(model, *names):
    return [model.get_layer(name).output.shape[1] for name in names]


def test_one_tower_of_alexnet_has_its_published_counts(build_without_weights):
    model = build_without_weights(alexnet, groups=1)
    assert sum(np.prod(weight.shape) for weight in model.trainable_weights) == 62_378_344
    assert multiply_adds(model) // 10**6 == 1_135


def test_groups_other_than_the_papers_are_refused():
    with pytest.raises(ValueError, match=r"alexnet: groups=3: give 2.* or 1"):
        alexnet(groups=3)


def test_alexnet_and_zfnet_have_the_map_sizes_of_their_papers(build_without_weights):
    model = build_without_weights(alexnet)
    assert sizes(model, "conv1", "pool1", "pool2", "pool5") == [55, 27, 13, 6]
    model = build_without_weights(zfnet)
    assert sizes(model, "conv1", "pool1", "conv2", "pool2", "pool5") == [110, 55, 26, 13, 6]


@pytest.mark.parametrize(("network", "minimum"), [(alexnet, 67), (zfnet, 47)])
def test_the_least_size_builds_and_one_pixel_less_names_it(network, minimum, build_without_weights):
    build_without_weights(network, input_shape=(minimum, minimum + 9, 3))
    with pytest.raises(ValueError, match=f"images of {minimum - 1}x99 are too small.* least {minimum}x{minimum}"):
        network(input_shape=(minimum - 1, 99, 3))


def test_alexnets_own_initial_values_set_the_biases_that_its_paper_sets():
    model = alexnet(input_shape=(67, 67, 1), classes=10, initial="paper")
    ones = [
        layer.name
        for layer in model.layers
        if getattr(layer, "bias", None) is not None and np.all(np.asarray(layer.bias) == 1)
    ]
    assert ones == ["conv2", "conv4", "conv5", "fc6", "fc7"]
    for name in ("conv3", "fc6", "logits"):
        assert np.std(np.asarray(model.get_layer(name).kernel)) == pytest.approx(0.01, rel=0.02)


def test_vgg_pools_28x28_images_five_times(build_without_weights):
    model = build_without_weights(vgg, "vgg16", input_shape=(28, 28, 1))
    assert sizes(model, *(f"pool{i}" for i in range(1, 6))) == [14, 7, 4, 2, 1]


def test_the_vgg_listing_keeps_7x7_in_its_last_pool(build_without_weights):
    assert sizes(build_without_weights(vgg11_series), "pool1", "pool2", "pool3") == [14, 7, 7]


@pytest.mark.parametrize("network", [zfnet, partial(vgg, "vgg11")])
def test_the_papers_initial_values_of_zfnet_and_vgg_are_an_option(network):
    model = network(input_shape=(47, 47, 1), classes=10, initial="paper")
    for layer in (layer for layer in model.layers if layer.weights):
        assert np.std(np.asarray(layer.kernel)) == pytest.approx(0.01, rel=0.1)
        assert not np.any(np.asarray(layer.bias))


def test_vggs_may_begin_with_glorots_values():
    limit = np.float32(np.sqrt(6 / (9 * 512 + 9 * 512)))  # rounded as the weights are
    kernel = vgg("vgg11", input_shape=(17, 17, 1), classes=2, initial="glorot_uniform").get_layer("conv5_1").kernel
    assert 0.99 * limit < np.abs(np.asarray(kernel)).max() <= limit


def test_the_listings_initial_values_are_an_option():
    model = vgg11_series(input_shape=(8, 8, 1), initial="listing")
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D | keras.layers.Dense):
            assert np.all(np.asarray(layer.bias) == np.float32(0.1))
    kernel = np.asarray(model.get_layer("fc2").kernel)
    assert np.abs(kernel).max() <= 0.25  # cut at two deviations of the normal before cutting
    assert not np.array_equal(model.get_layer("conv3_2").kernel, model.get_layer("conv3_3").kernel)


@pytest.mark.parametrize("network", [alexnet, vgg11_series])
def test_unknown_initial_values_are_refused_with_the_known_ones(network):
    with pytest.raises(ValueError, match='initial="zeros" does not exist: choose "he_normal"'):
        network(initial="zeros")
