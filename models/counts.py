"""Counting the way papers do: trainable parameters; multiply-adds of convolutions and dense layers, one image."""

from math import prod

import keras
from keras import layers

CONVOLUTIONS = (layers.Conv1D, layers.Conv2D, layers.Conv3D)
DEPTHWISE = (layers.DepthwiseConv1D, layers.DepthwiseConv2D)
SEPARABLE = (layers.SeparableConv1D, layers.SeparableConv2D)
TRANSPOSED = (layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose)


def count_parameters(model: keras.Model) -> int:
    """Trainable ones, as papers count them: weights, biases, BN scale and offset; not the moving statistics."""
    return sum(_numbers(weight.shape) for weight in model.trainable_weights)


def multiply_adds(model: keras.Model) -> int:
    """Multiply-adds of all convolutions (grouped, depthwise, separable too) and dense layers, one image.

    Biases, normalization, pooling and activations don't count. The model must be functional or Sequential,
    with a fixed input shape; models inside it are counted too; a layer that is called several times counts
    once.
    """
    return sum(
        multiply_adds(layer) if isinstance(layer, keras.Model) else layer_multiply_adds(layer) for layer in model.layers
    )


def layer_multiply_adds(layer: layers.Layer) -> int:
    """Those of one layer that was called on images of a fixed shape; 0 for what is no convolution and not dense."""
    if isinstance(layer, SEPARABLE):
        depthwise, pointwise = _numbers(layer.depthwise_kernel.shape), _numbers(layer.pointwise_kernel.shape)
        return _positions(layer.output) * (depthwise + pointwise)
    if isinstance(layer, TRANSPOSED):
        return _positions(layer.input) * _numbers(layer.kernel.shape)
    # A kernel holds one number for each product made at a position; a grouped one only its group's channels.
    if isinstance(layer, CONVOLUTIONS + DEPTHWISE):
        return _positions(layer.output) * _numbers(layer.kernel.shape)
    if isinstance(layer, layers.Dense):
        return _positions(layer.output) * _numbers(layer.kernel.shape)
    return 0


def _positions(tensor: keras.KerasTensor) -> int:
    """Positions of a feature map with channels last: height x width; 1 where there are features alone."""
    return _numbers(tensor.shape[1:-1])


def _numbers(shape: tuple[int, ...]) -> int:
    """How many numbers an array of this shape holds."""
    return prod(shape)
