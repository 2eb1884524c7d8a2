from keras import Input, Sequential, layers

from models.walk import walk_layers


def test_layers_come_in_the_order_of_the_definition():
    model = Sequential([Input((6,)), layers.Dense(4, name="first"), layers.ReLU(name="second")])
    assert [layer.name for layer in walk_layers(model)] == ["first", "second"]


def test_models_inside_models_are_walked_and_not_given():
    innermost = Sequential([Input((6,)), layers.Dense(6, name="deep")], name="innermost")
    inner = Sequential([Input((6,)), innermost, layers.ReLU(name="middle")], name="inner")
    outer = Sequential([Input((6,)), layers.Dense(6, name="first"), inner, layers.Dense(2, name="last")])
    assert [layer.name for layer in walk_layers(outer)] == ["first", "deep", "middle", "last"]
