"""GoogLeNet and Inception v2 to v4: variants, sizes, auxiliary heads."""

from math import prod

import keras
import numpy as np
import pytest

from models.googlenet import googlenet
from models.inception_v2 import inception_v2
from models.inception_v3 import inception_v3
from models.inception_v4 import inception_v4

FAMILY = (googlenet, inception_v2, inception_v3, inception_v4)


def trainable(model):
    return sum(prod(weight.shape) for weight in model.trainable_weights)


def maps(model):
    """Height and channels after each module."""
    names = [layer for layer in model.layers if isinstance(layer, keras.layers.Concatenate)]
    return {layer.name: (layer.output.shape[1], layer.output.shape[-1]) for layer in names}


def test_googlenets_two_heads_add_6_379_728_parameters(build_without_weights):
    with_heads = build_without_weights(googlenet, auxiliary=True)
    assert trainable(with_heads) - trainable(build_without_weights(googlenet)) == 6_379_728
    assert with_heads.get_layer("auxiliary_4a_pool").output.shape == (None, 4, 4, 512)
    assert with_heads.get_layer("auxiliary_4d_pool").output.shape == (None, 4, 4, 528)


def test_inception_v3s_head_adds_3_326_696_parameters(build_without_weights):
    with_head = build_without_weights(inception_v3, auxiliary=True)
    assert trainable(with_head) - 23_834_568 == 3_326_696
    assert with_head.get_layer("auxiliary_6e_2").output.shape == (None, 1, 1, 768)


def test_inception_v3_without_scale_has_the_listings_parameters(build_without_weights):
    assert trainable(build_without_weights(inception_v3, bn_scale=False)) == 23_817_352


def test_modules_have_the_maps_of_their_papers(build_without_weights):
    v1 = maps(build_without_weights(googlenet))
    assert list(v1.values()) == [
        *[(28, 256), (28, 480)],
        *[(14, 512), (14, 512), (14, 512), (14, 528), (14, 832)],
        *[(7, 832), (7, 1024)],
    ]
    v2 = maps(build_without_weights(inception_v2))
    assert [*v2.values()][:4] == [(28, 256), (28, 320), (14, 576), (14, 576)]
    assert [*v2.values()][4:] == [(14, 576), (14, 576), (14, 576), (7, 1024), (7, 1024), (7, 1024)]
    v3 = maps(build_without_weights(inception_v3))
    ends = [v3[f"mixed_{name}"] for name in ("5b", "5d", "6a", "6e", "7a", "7c")]
    assert ends == [(35, 256), (35, 288), (17, 768), (17, 768), (8, 1280), (8, 2048)]
    v4 = maps(build_without_weights(inception_v4))
    ends = [v4[name] for name in ("stem_a", "stem_b", "stem_c", "a4", "b7", "c3")]
    assert ends == [(73, 160), (71, 192), (35, 384), (35, 384), (17, 1024), (8, 1536)]


@pytest.mark.parametrize("network", FAMILY)
@pytest.mark.parametrize("size", [28, 32])
def test_small_images_reach_the_end_with_map_to_pool(network, size, build_without_weights):
    model = build_without_weights(network, input_shape=(size, size, 1), classes=10)
    assert model.get_layer("pool").input.shape[1] in {6, 7, 8}


@pytest.mark.parametrize(
    ("network", "stem", "minimum"),
    [
        *[(googlenet, "imagenet", 17), (googlenet, "small", 3)],
        *[(inception_v2, "imagenet", 17), (inception_v2, "small", 3)],
        *[(inception_v3, "imagenet", 75), (inception_v3, "small", 7)],
        *[(inception_v4, "imagenet", 75), (inception_v4, "small", 7)],
    ],
)
def test_the_least_size_builds_and_one_pixel_less_names_it(network, stem, minimum, build_without_weights):
    heads = {"auxiliary": True} if network in {googlenet, inception_v3} else {}
    build_without_weights(network, input_shape=(minimum, minimum + 5, 3), stem=stem, **heads)
    with pytest.raises(ValueError, match=f"{network.__name__}: .* too small.* at least {minimum}x{minimum}: "):
        network(input_shape=(minimum - 1, minimum, 3), stem=stem)


def test_width_thins_every_convolution_but_never_below_sixteen_filters(build_without_weights):
    model = build_without_weights(googlenet, input_shape=(28, 28, 1), width=0.25)
    assert model.get_layer("conv1").filters == 48
    assert model.get_layer("inception_3a_1a").filters == 16
    assert model.get_layer("inception_5b_2b").filters == 96
    assert trainable(model) < 1_000_000


@pytest.mark.parametrize("network", FAMILY)
@pytest.mark.parametrize("width", [0, -1, 64])
def test_a_width_that_is_no_sensible_factor_is_refused(network, width):
    with pytest.raises(ValueError, match=f"width={width} does not fit: give a factor"):
        network(width=width)


def test_batch_normalization_replaces_googlenets_biases_and_response_normalization(build_without_weights):
    model = build_without_weights(googlenet, batch_normalization=True)
    kinds = {type(layer).__name__ for layer in model.layers}
    assert "BatchNormalization" in kinds
    assert "LocalResponseNormalization" not in kinds
    assert not model.get_layer("inception_3a_1a").use_bias


def test_inception_v3s_momentum_and_initial_values_are_options():
    small = {"input_shape": (32, 32, 1), "classes": 10, "width": 0.125, "auxiliary": True}
    model = inception_v3(**small, bn_momentum=0.9997, initial="listing")
    assert model.get_layer("conv1_bn").momentum == 0.9997
    assert model.get_layer("conv1_bn").epsilon == 1e-3
    deviations = {
        name: np.std(np.asarray(model.get_layer(name).kernel))
        for name in ("mixed_6b_1a", "auxiliary_6e_2", "auxiliary_6e")
    }
    expected = {"mixed_6b_1a": 0.088, "auxiliary_6e_2": 0.0088, "auxiliary_6e": 0.00088}  # after the cut
    assert deviations == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize("heads", [False, True])
def test_a_saved_googlenet_answers_as_before(heads, tmp_path):
    model = googlenet(input_shape=(64, 64, 3), classes=4, width=0.125, auxiliary=heads)
    images = np.random.default_rng(0).normal(size=(2, 64, 64, 3)).astype("float32")
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    before, after = model(images), loaded(images)
    if heads:
        assert list(after) == ["logits", "auxiliary_4a", "auxiliary_4d"]
        before, after = before["logits"], after["logits"]
    np.testing.assert_array_equal(np.asarray(before), np.asarray(after))
