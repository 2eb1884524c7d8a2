"""ResNet, ResNeXt, SENet: stems, widths, blocks, depth."""

import sys
from functools import partial
from math import prod

import keras
import numpy as np
import pytest

from models.depth import deep_recursion
from models.resnet import resnet
from models.resnet1001 import resnet1001
from models.resnet_series import resnet18_series
from models.resnext import resnext
from models.senet import gate, senet, senet154


def trainable(model):
    return sum(prod(weight.shape) for weight in model.trainable_weights)


@pytest.mark.parametrize(("width", "parameters"), [(64, 11_173_962), (16, 701_466)])
def test_resnet18_on_cifar_has_its_published_parameters(width, parameters, build_without_weights):
    model = build_without_weights(resnet, "resnet18", input_shape=(32, 32, 3), classes=10, width=width)
    assert trainable(model) == parameters
    assert model.get_layer("pool").input.shape == (None, 4, 4, 8 * width)


def test_the_stem_follows_the_size_of_the_image_unless_it_is_named(build_without_weights):
    def first_map(size, **stem):
        model = build_without_weights(resnet, "resnet18", input_shape=(size, size, 3), **stem)
        return model.get_layer("stage1_block1_1").input.shape[1]

    assert first_map(63) == 63
    assert first_map(64) == 16
    assert first_map(64, stem="small") == 64
    assert first_map(32, stem="imagenet") == 8


@pytest.mark.parametrize(("stem", "minimum"), [("imagenet", 17), ("small", 5)])
def test_the_least_size_builds_and_one_pixel_less_names_it(stem, minimum, build_without_weights):
    build_without_weights(resnet, "resnet50", input_shape=(minimum, minimum + 2, 3), stem=stem)
    with pytest.raises(ValueError, match=f"resnet50: .* too small.* at least {minimum}x{minimum}: "):
        resnet("resnet50", input_shape=(minimum - 1, minimum, 3), stem=stem)


def test_an_unknown_stem_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match='stem="cifar" does not exist: choose "imagenet" or "small"'):
        resnet("resnet18", stem="cifar")


@pytest.mark.parametrize(
    ("network", "width", "multiple"),
    [
        (partial(resnet, "resnet18"), 0, 1),
        (partial(resnext, "resnext50_32x4d"), 24, 16),
        (partial(resnext, "resnext101_64x4d"), 8, 16),
        (partial(senet, "se_resnext50_32x4d"), 8, 16),
        (senet154, 16, 32),
    ],
)
def test_a_width_that_does_not_fit_the_groups_is_refused(network, width, multiple):
    with pytest.raises(ValueError, match=f"width={width} does not fit: give a positive multiple of {multiple}"):
        network(width=width)


def test_strided_bottlenecks_have_their_stride_on_the_3x3(build_without_weights):
    for model in (
        build_without_weights(resnet, "resnet50"),
        build_without_weights(resnext, "resnext50_32x4d"),
        build_without_weights(senet154),
        build_without_weights(resnet1001, blocks=1),
    ):
        assert [model.get_layer(f"stage2_block1_{i}").strides[0] for i in (1, 2, 3)] == [1, 2, 1]


def test_strided_windows_are_centered_as_torchvision_has_them():
    model = resnet("resnet18", input_shape=(64, 64, 1), classes=2, width=4)
    pad = model.get_layer("conv1_pad").padding
    assert pad == ((3, 3), (3, 3))
    assert model.get_layer("stage2_block1_1_pad").padding == ((1, 1), (1, 1))


def test_resnext_has_the_groups_and_widths_of_its_name(build_without_weights):
    for name, groups in (("resnext50_32x4d", 32), ("resnext101_64x4d", 64)):
        model = build_without_weights(resnext, name)
        layers = [model.get_layer(f"stage{i}_block1_2") for i in (1, 2, 3, 4)]
        assert {layer.groups for layer in layers} == {groups}
        assert [layer.filters // groups for layer in layers] == [4, 8, 16, 32]


def test_senet154_halves_its_first_1x1_and_projects_with_3x3_from_the_second_stage(build_without_weights):
    model = build_without_weights(senet154)
    assert [model.get_layer(f"stage1_block1_{i}").filters for i in (1, 2, 3)] == [128, 256, 256]
    kernels = [model.get_layer(f"stage{i}_block1_shortcut").kernel_size for i in (1, 2, 3, 4)]
    assert kernels == [(1, 1), (3, 3), (3, 3), (3, 3)]


def test_the_gate_scales_each_channel_by_one_number_between_0_and_1():
    image = keras.Input((3, 5, 32))
    model = keras.Model(image, gate(image, name="gate"))
    x = np.random.default_rng(0).normal(size=(2, 3, 5, 32)).astype("float32")
    ratio = np.asarray(model(x)) / x
    np.testing.assert_allclose(ratio, np.broadcast_to(ratio[:, :1, :1], ratio.shape), rtol=1e-4)
    assert ratio.min() > 0
    assert ratio.max() < 1
    assert model.get_layer("gate_reduce").units == 2


def test_the_listing_of_resnet18_projects_only_where_it_strides(build_without_weights):
    model = build_without_weights(resnet18_series)
    shortcuts = [layer.name for layer in model.layers if "shortcut" in layer.name]
    assert shortcuts == [f"stage{i}_block1_shortcut" for i in (2, 3, 4)]
    assert [model.get_layer(f"stage{i}_block2_relu").output.shape[1] for i in (1, 2, 3, 4)] == [30, 15, 8, 4]


def test_resnet1001_counts_its_layers_by_blocks(build_without_weights):
    model = build_without_weights(resnet1001, blocks=18)
    weighted = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D | keras.layers.Dense)]
    projections = 3
    assert len(weighted) - projections == 164
    with pytest.raises(ValueError, match="blocks=0: give"):
        resnet1001(blocks=0)


def test_the_recursion_limit_is_raised_only_inside_the_block():
    before = sys.getrecursionlimit()
    with deep_recursion(before + 1234):
        assert sys.getrecursionlimit() == before + 1234
    assert sys.getrecursionlimit() == before
    with deep_recursion(10):
        assert sys.getrecursionlimit() == before


def test_a_saved_senet_answers_as_before(tmp_path):
    model = senet("se_resnet50", input_shape=(8, 8, 1), classes=3, width=4)
    images = np.random.default_rng(0).normal(size=(2, 8, 8, 1)).astype("float32")
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(np.asarray(model(images)), np.asarray(loaded(images)))
