"""What a library said stays whole in our one line."""

from __future__ import annotations

import keras
import pytest

from export.errors import reason


def test_tracing_before_and_arguments_behind_are_left_out() -> None:
    text = (
        "in user code:\n\n"
        '    File "/a/from_keras.py", line 47, in <lambda>  *\n        lambda pixels: model(pixels)\n'
        '    File "/b/keras/traceback_utils.py", line 122, in error_handler  **\n        raise e from None\n\n'
        "    NameError: Exception encountered when calling Lambda.call().\n    \n"
        "    \x1b[1mname 'tf' is not defined\x1b[0m\n    \n"
        "    Arguments received by Lambda.call():\n      • training=False\n"
    )
    expected = "Exception encountered when calling Lambda.call(). name 'tf' is not defined"
    assert reason(NameError(text)) == expected


def test_a_configuration_is_left_out_and_the_reason_behind_it_kept() -> None:
    config = {"name": "random_flip", "other": "x" * 300}
    text = f"Error when deserializing class 'RandomFlip' using config={config}.\n\nException encountered: no rng_type"
    assert reason(TypeError(text)) == "no rng_type"


def test_several_lines_become_one_and_none_names_the_type() -> None:
    assert reason(ValueError("[ONNXRuntimeError] : 9 :\n  no Conv(11)\n")) == "[ONNXRuntimeError] : 9 : no Conv(11)"
    assert reason(RuntimeError()) == "RuntimeError"
    assert reason(KeyError("layers")) == "KeyError 'layers'"


def test_keras_own_errors_are_said_in_one_line() -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011  Keras' text is what is looked at
        keras.layers.Conv2D(4, 3)(keras.Input((2, 2, 3)))
    assert "\n" not in reason(caught.value)
    assert "zero or negative" in reason(caught.value)
