"""Every head from a file to what is served: the file's own output, transformed as the card declares, or a question."""

from __future__ import annotations

import string
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

from artifact.card import ModelCard, read_card
from export.cli.main import main
from export.data.samples import decode_samples
from export.proof import runtime
from export.report.calibration import Floats, softmax
from export.sources.proof_images import bundled_images
from tests.makers.heads import HALF, QUANTIZED, Tail, average_with, op, squeeze_as_pytorch, write_tail


def write_labels(folder: Path, width: int) -> str:
    path = folder / "labels.txt"
    path.write_text("\n".join(string.ascii_lowercase[: max(2, width)]) + "\n")
    return str(path)


def adopt(file: Path, width: int, *options: str) -> int:
    words = ["--preprocessing", "unit", "--labels", write_labels(file.parent, width), *options]
    return main(["adopt", str(file), "--name", "net", "--repository", str(file.parent / "repository"), *words])


def answers(file: Path) -> tuple[ModelCard, Floats, Floats]:
    """The card, what the file itself gives for the bundled images, and what is served."""
    folder = max((file.parent / "repository/net").glob("[0-9]*"), key=lambda path: int(path.name))
    card = read_card(folder)
    pixels = decode_samples(bundled_images(3).samples, range(14), card.image)
    prepared = (pixels / np.float32(255)).transpose(0, 3, 1, 2).astype(np.float32)
    (own,) = onnxruntime.InferenceSession(file).run(None, {"pixels": prepared})
    served = runtime.run_graph(runtime.open_session(str(folder / "model.onnx")), pixels).probabilities
    return card, np.float64(own), np.float64(served)


def expected(card: ModelCard, own: Floats) -> Floats:
    """What the card says of the file's own output."""
    if card.head == "logits":
        return softmax(own if own.shape[1] > 1 else np.concatenate([0 * own, own], axis=1))
    return np.concatenate([1 - own, own], axis=1) if own.shape[1] == 1 else own


AXIS_1 = np.int64([1])
SIGMOID, SOFTMAX = op("Sigmoid"), op("Softmax", axis=1)
TAILS: dict[str, tuple[int, Sequence[Tail], str]] = {
    # outputs, what stands behind the logits, the head that must be read
    "logits": (3, [], "logits"),
    "logits of half precision": (3, HALF, "logits"),
    "one logit": (1, [], "logits"),
    "softmax": (3, [SOFTMAX], "softmax"),
    "softmax, reshaped": (3, [SOFTMAX, op("Reshape", np.int64([-1, 3]))], "softmax"),
    "softmax, quantized": (3, [SOFTMAX, *QUANTIZED], "softmax"),
    "softmax of half precision": (3, [SOFTMAX, *HALF], "softmax"),
    "cool softmax": (3, [op("Div", np.float32(5)), SOFTMAX], "softmax"),
    "log-softmax": (3, [op("LogSoftmax", axis=1)], "logits"),
    "sigmoid": (1, [SIGMOID], "sigmoid"),
    "sigmoid, cast": (1, [SIGMOID, *HALF], "sigmoid"),
    "sigmoid, reshaped": (1, [SIGMOID, op("Reshape", np.int64([-1, 1]))], "sigmoid"),
    "sigmoid, squeezed and back": (
        1,
        [SIGMOID, op("Squeeze", AXIS_1), op("Unsqueeze", AXIS_1)],
        "sigmoid",
    ),
    "sigmoid, squeezed by an If": (1, [SIGMOID, squeeze_as_pytorch, op("Reshape", np.int64([-1, 1]))], "sigmoid"),
    "sigmoid, clipped": (1, [SIGMOID, op("Clip", np.float32(1e-7), np.float32(1))], "sigmoid"),
    "sigmoid, quantized": (1, [SIGMOID, *QUANTIZED], "sigmoid"),
    "averaged sigmoids": (1, [average_with("Sigmoid")], "sigmoid"),
    "hard sigmoid": (1, [op("HardSigmoid")], "sigmoid"),
    "tags": (3, [SIGMOID], "multilabel"),
    "tags, quantized": (3, [SIGMOID, *QUANTIZED], "multilabel"),
    "tags of two": (2, [SIGMOID, op("Reshape", np.int64([-1, 2]))], "multilabel"),
}


@pytest.mark.parametrize("case", TAILS)
def test_what_is_served_is_the_file_s_own_output_as_declared(case: str, tmp_path: Path) -> None:
    width, tails, head = TAILS[case]
    file = write_tail(tmp_path / "net.onnx", width, tails)
    assert adopt(file, width) == 0
    card, own, served = answers(file)
    assert card.head == head
    np.testing.assert_allclose(served, expected(card, own), atol=1e-5)


DOUBTFUL: dict[str, tuple[int, Sequence[Tail], str]] = {
    "a softmax over one class": (1, [SOFTMAX], "1 for every image"),
    "tanh": (1, [op("Tanh")], "keep to -1..1"),
    "percentages": (3, [SOFTMAX, op("Mul", np.float32(100))], "keep to 0..100"),
    "logits cut at 0": (3, [op("Relu")], "keep to 0..inf"),
}


@pytest.mark.parametrize("case", DOUBTFUL)
def test_what_can_not_be_decided_is_never_published(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    width, tails, complaint = DOUBTFUL[case]
    file = write_tail(tmp_path / "net.onnx", width, tails)
    assert adopt(file, width) == 2
    assert complaint in capsys.readouterr().err
    assert not (tmp_path / "repository/net").exists()


@pytest.mark.parametrize(("width", "named"), [(1, "sigmoid"), (3, "multilabel")])
def test_logits_that_happen_to_stay_in_0_and_1_are_asked_about(
    width: int, named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_tail(tmp_path / "net.onnx", width, [], weights=[0.3, -0.2, 0.1][:width])
    assert adopt(file, width) == 2
    assert "the last operation is Gemm" in capsys.readouterr().err
    for head in (named, "logits"):
        assert adopt(file, width, "--head", head) == 0
        card, own, served = answers(file)
        assert card.head == head
        np.testing.assert_allclose(served, expected(card, own), atol=1e-5)


MEANINGS = {
    "logits": ([], False),
    "softmax": ([SOFTMAX], True),
    "sigmoid": ([SIGMOID], True),
    "tanh": ([op("Tanh")], True),
}
WRAPPERS = {
    "half": HALF,
    "quantized": QUANTIZED,
    "reshaped": [op("Reshape", np.int64([0, -1]))],
    "clipped": [op("Clip", np.float32(-20), np.float32(20))],
    "clipped to 0..1": [op("Clip", np.float32(0), np.float32(1))],
    "halved": [op("Mul", np.float32(0.5))],
    "a hundredfold": [op("Mul", np.float32(100))],
    "passed on": [op("Identity")],
    "squeezed by an If": [squeeze_as_pytorch, op("Reshape", np.int64([0, -1]))],
    "again": [SOFTMAX],
}


@settings(max_examples=30, deadline=None)
@given(
    width=st.integers(1, 4),
    meaning=st.sampled_from(sorted(MEANINGS)),
    wrappers=st.lists(st.sampled_from(sorted(WRAPPERS)), max_size=3),
)
def test_published_implies_equal_to_the_users_own_output(width: int, meaning: str, wrappers: list[str]) -> None:
    tails, bounded = MEANINGS[meaning]
    if "again" in wrappers or "clipped to 0..1" in wrappers:
        bounded = True
    behind = [*tails, *(tail for name in wrappers for tail in WRAPPERS[name])]
    with tempfile.TemporaryDirectory() as folder:
        file = write_tail(Path(folder) / "net.onnx", width, behind)
        if adopt(file, width) != 0:
            return
        card, own, served = answers(file)
    np.testing.assert_allclose(served, expected(card, own), atol=1e-4)
    if meaning == "tanh" and "a hundredfold" in wrappers:
        return  # a logit that is kept within bounds by design
    assert bounded != (card.head == "logits"), "a softmax or sigmoid was put on what was bounded already, or left out"


def last(*tail: layers.Layer) -> Callable[[keras.KerasTensor], keras.KerasTensor]:
    def build(z: keras.KerasTensor) -> keras.KerasTensor:
        for layer in tail:
            z = layer(z)
        return z

    return build


def averaged(z: keras.KerasTensor) -> keras.KerasTensor:
    return layers.Average()([layers.Activation("sigmoid")(z), layers.Activation("hard_sigmoid")(z)])


def clipped(z: keras.KerasTensor) -> keras.KerasTensor:
    return keras.ops.clip(keras.ops.sigmoid(z), 1e-7, 1 - 1e-7)


KERAS: dict[str, tuple[int, Callable[[keras.KerasTensor], keras.KerasTensor], str]] = {
    "sigmoid behind a reshape": (1, last(layers.Activation("sigmoid"), layers.Reshape((1,))), "sigmoid"),
    "sigmoid behind a flatten": (1, last(layers.Activation("sigmoid"), layers.Flatten()), "sigmoid"),
    "clipped sigmoid": (1, clipped, "sigmoid"),
    "averaged sigmoids": (1, averaged, "sigmoid"),
    "hard sigmoid": (1, last(layers.Activation("hard_sigmoid")), "sigmoid"),
    "tags": (3, last(layers.Activation("sigmoid")), "multilabel"),
    "averaged tags": (3, averaged, "multilabel"),
    "softmax behind a reshape": (3, last(layers.Softmax(), layers.Reshape((3,))), "softmax"),
    "log-softmax": (3, last(layers.Activation("log_softmax")), "logits"),
    "softmax over one": (1, last(layers.Softmax()), "refused"),
    "tanh": (1, last(layers.Activation("tanh")), "refused"),
}


@pytest.mark.filterwarnings("ignore:You are using a softmax over axis -1 of a tensor of shape")
@pytest.mark.parametrize("case", KERAS)
def test_keras_heads_are_read_or_asked_about(case: str, tmp_path: Path) -> None:
    width, build, head = KERAS[case]
    keras.utils.set_random_seed(0)
    pixels = keras.Input((8, 8, 3))
    z = layers.Dense(width)(layers.GlobalAveragePooling2D()(pixels))
    model = keras.Model(pixels, build(z))
    model.save(tmp_path / "net.keras")
    words = ["--preprocessing", "tf", "--labels", write_labels(tmp_path, width), "--name", "net"]
    status = main(["convert", str(tmp_path / "net.keras"), *words, "--repository", str(tmp_path / "repository")])
    assert status == (2 if head == "refused" else 0)
    assert (tmp_path / "repository/net").exists() == (head != "refused")
    if status == 0:
        assert read_card(tmp_path / "repository/net/1").head == head
