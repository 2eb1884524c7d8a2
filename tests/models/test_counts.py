from keras import Input, Model, Sequential, layers

from models.counts import count_parameters, multiply_adds


def count(*stack, shape=(8, 8, 6)):
    return multiply_adds(Sequential([Input(shape), *stack]))


def test_a_convolution_counts_kernel_times_positions():
    assert count(layers.Conv2D(4, 3, padding="same")) == 8 * 8 * 4 * 3 * 3 * 6


def test_strides_and_valid_padding_leave_fewer_positions():
    assert count(layers.Conv2D(4, (3, 1), strides=2)) == 3 * 4 * 4 * 3 * 6


def test_groups_divide_the_count():
    assert count(layers.Conv2D(4, 3, padding="same", groups=2)) == 8 * 8 * 4 * 3 * 3 * 3


def test_a_depthwise_convolution_sees_one_channel():
    assert count(layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2)) == 8 * 8 * 12 * 3 * 3


def test_a_separable_convolution_counts_both_of_its_steps():
    assert count(layers.SeparableConv2D(4, 3, padding="same")) == 8 * 8 * (6 * 3 * 3 + 6 * 4)


def test_a_transposed_convolution_counts_the_positions_it_reads():
    assert count(layers.Conv2DTranspose(4, 3, strides=2)) == 8 * 8 * 3 * 3 * 6 * 4


def test_dense_counts_each_position_that_it_is_applied_to():
    assert count(layers.Flatten(), layers.Dense(5), shape=(2, 2, 3)) == 12 * 5
    assert count(layers.Dense(5), shape=(2, 2, 3)) == 2 * 2 * 3 * 5


def test_pooling_normalization_and_biases_count_nothing():
    assert count(layers.BatchNormalization(), layers.ReLU(), layers.MaxPooling2D()) == 0


def test_a_model_inside_a_model_is_counted():
    inner = Sequential([Input((8, 8, 6)), layers.Conv2D(4, 1)])
    image = Input((8, 8, 6))
    outer = Model(image, layers.Dense(2)(layers.GlobalAveragePooling2D()(inner(image))))
    assert multiply_adds(outer) == 8 * 8 * 6 * 4 + 4 * 2


def test_parameters_are_what_training_moves():
    model = Sequential([Input((8, 8, 6)), layers.Conv2D(4, 3), layers.BatchNormalization(), layers.Flatten()])
    assert count_parameters(model) == 4 * 6 * 3 * 3 + 4 + 4 + 4  # not the moving mean and variance
    model.layers[0].trainable = False
    assert count_parameters(model) == 4 + 4


def test_a_layer_called_twice_has_its_parameters_once():
    image, twice = Input((6,)), layers.Dense(6)
    assert count_parameters(Model(image, twice(twice(image)))) == 6 * 6 + 6
