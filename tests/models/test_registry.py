import inspect
from math import prod

import keras
import numpy as np
import pytest

from models.counts import multiply_adds
from models.registry import NETWORKS
from models.small_forms import SMALL_FORMS

# Exact parameters and millions of multiply-adds, from the published tables: the registry is held against
# them, not against itself.
PUBLISHED = {
    "lenet5": (61_706, 0.42),
    "alexnet": (60_965_224, 724),
    "alexnet_series": (58_299_082, 1_061),
    "zfnet": (62_357_608, 1_168),
    "vgg11": (132_863_336, 7_609),
    "vgg13": (133_047_848, 11_309),
    "vgg16c": (133_638_952, 11_771),
    "vgg16": (138_357_544, 15_470),
    "vgg19": (143_667_240, 19_632),
    "vgg11_series": (16_230_346, 188),
    "googlenet": (6_998_552, 1_583),
    "inception_v2": (11_194_984, 2_019),
    "inception_v3": (23_834_568, 5_713),
    "inception_v4": (42_679_816, 12_254),
    "resnet18": (11_689_512, 1_814),
    "resnet34": (21_797_672, 3_664),
    "resnet50": (25_557_032, 4_089),
    "resnet101": (44_549_160, 7_801),
    "resnet152": (60_192_808, 11_514),
    "resnet18_series": (11_223_140, 521),
    "resnet1001": (10_327_706, 1_491),
    "resnext50_32x4d": (25_028_904, 4_230),
    "resnext101_32x4d": (44_177_704, 7_970),
    "resnext101_64x4d": (83_455_272, 15_460),
    "se_resnet50": (28_088_024, 4_092),
    "se_resnext50_32x4d": (27_559_896, 4_233),
    "senet154": (115_088_984, 20_688),
}


def trainable(model):
    return sum(prod(weight.shape) for weight in model.trainable_weights)


def test_the_registry_small_forms_and_published_table_name_the_same_networks():
    assert list(NETWORKS) == list(PUBLISHED)
    assert set(SMALL_FORMS) == set(NETWORKS)


@pytest.fixture(scope="module", params=NETWORKS)
def built(request, build_without_weights):
    """The name of a network, and the network as it is built by default."""
    return request.param, build_without_weights(NETWORKS[request.param].build)


def test_a_network_has_its_published_parameters_and_multiply_adds(built):
    name, model = built
    parameters, millions = PUBLISHED[name]
    assert trainable(model) == NETWORKS[name].parameters == parameters
    assert multiply_adds(model) == NETWORKS[name].multiply_adds
    assert multiply_adds(model) / 1e6 == pytest.approx(millions, abs=0.6 if millions > 1 else 0.005)


def test_a_network_keeps_the_contract_of_its_input_and_logits(built):
    name, model = built
    network = NETWORKS[name]
    assert model.name == name
    assert model.input.name == "image"
    assert model.input.dtype == "float32"
    assert model.input.shape == (None, *network.input_shape)
    assert model.output.shape == (None, network.classes)
    logits = model.layers[-1]
    assert isinstance(logits, keras.layers.Dense)
    assert logits.name == "logits"
    assert logits.activation is keras.activations.linear
    defaults = inspect.signature(network.build).parameters
    assert defaults["input_shape"].default == network.input_shape
    assert defaults["classes"].default == network.classes
    assert str(network.year) in network.paper


def test_every_network_from_googlenet_on_ends_in_mean_dropout_logits(built):
    name, model = built
    end = [layer.name for layer in model.layers if layer.name in {"pool", "dropout", "logits"}]
    if name.startswith(("lenet", "alexnet", "zfnet", "vgg")):
        assert "pool" not in end
    else:
        assert [layer.name for layer in model.layers[-len(end) :]] == end
        assert end in (["pool", "logits"], ["pool", "dropout", "logits"])
        assert isinstance(model.get_layer("pool"), keras.layers.GlobalAveragePooling2D)


@pytest.mark.parametrize("name", SMALL_FORMS)
def test_a_small_form_answers_with_finite_logits(name):
    model = NETWORKS[name].build(**SMALL_FORMS[name])
    images = np.random.default_rng(0).normal(size=(2, *model.input.shape[1:])).astype("float32")
    logits = keras.ops.convert_to_numpy(model(images, training=False))
    assert logits.shape == (2, 10)
    assert logits.dtype == np.float32
    assert np.isfinite(logits).all()
    assert not np.allclose(logits[0], logits[1], rtol=1e-5, atol=0), "two images, one answer"


@pytest.mark.parametrize("name", [n for n, network in NETWORKS.items() if network.auxiliary])
def test_auxiliary_heads_stand_beside_the_logits_and_can_be_cut_off(name, build_without_weights):
    network = NETWORKS[name]
    model = build_without_weights(network.build, auxiliary=True)
    assert list(model.output) == ["logits", *network.auxiliary]
    assert {tensor.shape for tensor in model.output.values()} == {(None, network.classes)}
    without = keras.Model(model.inputs, model.output["logits"])
    assert trainable(without) == network.parameters


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"input_shape": (2, 2, 3)}, r"2x2.*(at least \d+x\d+: |: resize)"),
        ({"input_shape": (None, 224, 3)}, r"None.*positive integers|don't fit"),
        ({"classes": 0}, "classes=0 does not fit: give a positive integer"),
    ],
    ids=["tiny", "unknown-size", "no-class"],
)
def test_a_shape_that_does_not_fit_is_refused_with_value_and_remedy(name, arguments, message):
    with pytest.raises(ValueError, match=f"^{name}: .*{message}"):
        NETWORKS[name].build(**arguments)
