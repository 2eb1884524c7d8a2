"""The cheapest form of every network that still has all its parts: for tests and first tries."""

from collections.abc import Mapping

# Name of a network: arguments of its build. All have their full depth, except resnet1001 (11 layers here).
# Those with dense layers of 4096 stay large, because their papers leave nothing to thin.
SMALL_FORMS: Mapping[str, Mapping[str, object]] = {
    "lenet5": {"input_shape": (28, 28, 1)},
    "alexnet": {"input_shape": (67, 67, 3), "classes": 10},
    "alexnet_series": {"input_shape": (67, 67, 1)},
    "zfnet": {"input_shape": (64, 64, 3), "classes": 10},
    "vgg11": {"input_shape": (32, 32, 3), "classes": 10},
    "vgg13": {"input_shape": (32, 32, 3), "classes": 10},
    "vgg16c": {"input_shape": (32, 32, 3), "classes": 10},
    "vgg16": {"input_shape": (32, 32, 3), "classes": 10},
    "vgg19": {"input_shape": (32, 32, 3), "classes": 10},
    "vgg11_series": {"input_shape": (12, 12, 1)},
    "googlenet": {"input_shape": (32, 32, 3), "classes": 10, "width": 0.125},
    "inception_v2": {"input_shape": (32, 32, 3), "classes": 10, "width": 0.125},
    "inception_v3": {"input_shape": (32, 32, 3), "classes": 10, "width": 0.125},
    "inception_v4": {"input_shape": (32, 32, 3), "classes": 10, "width": 0.125},
    "resnet18": {"input_shape": (32, 32, 3), "classes": 10, "width": 16},
    "resnet34": {"input_shape": (32, 32, 3), "classes": 10, "width": 16},
    "resnet50": {"input_shape": (32, 32, 3), "classes": 10, "width": 16},
    "resnet101": {"input_shape": (32, 32, 3), "classes": 10, "width": 16},
    "resnet152": {"input_shape": (32, 32, 3), "classes": 10, "width": 16},
    "resnet18_series": {"input_shape": (16, 16, 3), "classes": 10},
    "resnet1001": {"blocks": 1},
    "resnext50_32x4d": {"input_shape": (32, 32, 3), "classes": 10, "width": 16},
    "resnext101_32x4d": {"input_shape": (32, 32, 3), "classes": 10, "width": 16},
    "resnext101_64x4d": {"input_shape": (32, 32, 3), "classes": 10, "width": 16},
    "se_resnet50": {"input_shape": (32, 32, 3), "classes": 10, "width": 16},
    "se_resnext50_32x4d": {"input_shape": (32, 32, 3), "classes": 10, "width": 16},
    "senet154": {"input_shape": (32, 32, 3), "classes": 10, "width": 32},
}
