"""Somebody's own Keras file, from the command line to an answer."""

from __future__ import annotations

import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

from artifact.card import read_card
from export.cli.main import main
from export.data.datasets import load_dataset
from export.publish.published import open_published
from export.publish.read_back import evaluate_published
from export.sources.user_code import Definitions


def small_network(*last: layers.Layer, inside: tuple[layers.Layer, ...] = ()) -> keras.Model:
    keras.utils.set_random_seed(0)
    body = [layers.Conv2D(4, 3, activation="relu"), layers.GlobalAveragePooling2D()]
    return keras.Sequential([keras.Input((20, 20, 3)), *inside, *body, *last])


@pytest.fixture
def labels(tmp_path: Path) -> str:
    path = tmp_path / "labels.txt"
    path.write_text("cat\ndog\nbird\n")
    return str(path)


def convert(file: Path, tmp_path: Path, *options: str) -> int:
    return main(["convert", str(file), "--name", "mine", "--repository", str(tmp_path / "repository"), *options])


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_a_file_with_softmax_is_converted_with_one_command(tmp_path: Path, labels: str, suffix: str) -> None:
    file = tmp_path / f"pets{suffix}"
    small_network(layers.Dense(3, activation="softmax")).save(file)
    assert convert(file, tmp_path, "--labels", labels, "--preprocessing", "unit", "--fit", "crop") == 0
    card = read_card(tmp_path / "repository/mine/1")
    assert (card.head, card.energy, card.features, card.image.fit) == ("softmax", True, True, "crop")
    assert card.network.origin == "keras-file"
    assert card.evaluation is None
    assert "scikit-learn" in card.proof.source


def test_logits_are_recognized_by_what_they_look_like(tmp_path: Path, labels: str) -> None:
    small_network(layers.Dense(3)).save(tmp_path / "pets.keras")
    assert convert(tmp_path / "pets.keras", tmp_path, "--labels", labels, "--preprocessing", "tf") == 0
    assert read_card(tmp_path / "repository/mine/1").head == "logits"


def test_cats_and_dogs_by_one_sigmoid_get_two_classes(tmp_path: Path) -> None:
    (tmp_path / "two.txt").write_text("cat\ndog\n")
    small_network(layers.Dense(1, activation="sigmoid")).save(tmp_path / "pets.keras")
    assert (
        convert(tmp_path / "pets.keras", tmp_path, "--labels", str(tmp_path / "two.txt"), "--preprocessing", "unit")
        == 0
    )
    assert read_card(tmp_path / "repository/mine/1").labels == ("cat", "dog")


def test_preprocessing_inside_the_network_is_left_to_it(tmp_path: Path, labels: str) -> None:
    model = small_network(layers.Dense(3, activation="softmax"), inside=(layers.Rescaling(1 / 255),))
    model.save(tmp_path / "pets.keras")
    assert convert(tmp_path / "pets.keras", tmp_path, "--labels", labels) == 0
    assert read_card(tmp_path / "repository/mine/1").preprocessing.name == "none"


def test_normalization_layers_bring_their_statistics_along(tmp_path: Path, labels: str) -> None:
    normalization = layers.Normalization()
    normalization.adapt(np.random.default_rng(0).normal(120, 50, (50, 20, 20, 3)))
    model = small_network(layers.Dense(3, activation="softmax"), inside=(normalization,))
    model.save(tmp_path / "pets.keras")
    assert convert(tmp_path / "pets.keras", tmp_path, "--labels", labels) == 0


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ([], "--labels is missing"),
        (["--labels", "LABELS"], "--preprocessing tf|caffe|torch|unit|none"),
        (["--labels", "imagenet", "--preprocessing", "tf"], "1,000 labels for 3 classes"),
        (["--labels", "LABELS", "--preprocessing", "tf", "--size", "30x30"], "reads 20x20 and no other size"),
        (["--labels", "LABELS", "--preprocessing", "tf", "--head", "logits"], "use --head softmax"),
    ],
)
def test_what_is_missing_or_wrong_is_said_in_one_line(
    tmp_path: Path, labels: str, capsys: pytest.CaptureFixture[str], options: list[str], complaint: str
) -> None:
    small_network(layers.Dense(3, activation="softmax")).save(tmp_path / "pets.keras")
    options = [labels if word == "LABELS" else word for word in options]
    assert convert(tmp_path / "pets.keras", tmp_path, *options) in (1, 2)
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("convserve-export:")]
    assert len(lines) == 1
    assert complaint in lines[0]
    assert not (tmp_path / "repository/mine").exists()


def test_a_file_that_is_no_keras_file_is_named(tmp_path: Path, labels: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "pets.keras").write_text("hello")
    assert convert(tmp_path / "pets.keras", tmp_path, "--labels", labels, "--preprocessing", "tf") == 1
    assert "neither a zip archive" in capsys.readouterr().err


@pytest.mark.parametrize(("true", "named"), [(".keras", ".h5"), (".h5", ".keras")])
def test_a_file_is_opened_by_what_it_holds_whatever_it_is_called(
    tmp_path: Path, labels: str, true: str, named: str
) -> None:
    file = tmp_path / f"pets{true}"
    small_network(layers.Dense(3, activation="softmax")).save(file)
    renamed = file.rename(tmp_path / f"renamed{named}")
    assert convert(renamed, tmp_path, "--labels", labels, "--preprocessing", "unit") == 0


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_file_that_is_cut_short_is_said(
    tmp_path: Path, labels: str, suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / f"pets{suffix}"
    small_network(layers.Dense(3)).save(file)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    assert convert(file, tmp_path, "--labels", labels, "--preprocessing", "unit") == 1
    assert "is truncated or damaged" in last_error(capsys)


@pytest.mark.parametrize("name", ["pets.keras", "pets.h5", "pets.onnx"])
def test_a_pointer_of_git_lfs_is_no_network(
    tmp_path: Path, labels: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    words = ["--labels", labels, "--preprocessing", "unit", "--repository", str(tmp_path / "repository")]
    command = "adopt" if name.endswith("onnx") else "convert"
    assert main([command, str(tmp_path / name), "--name", "mine", *words]) == 1
    assert "`git lfs pull` downloads it" in last_error(capsys)


def test_images_that_are_not_there_are_said(tmp_path: Path, labels: str, capsys: pytest.CaptureFixture[str]) -> None:
    small_network(layers.Dense(3)).save(tmp_path / "pets.keras")
    options = ["--labels", labels, "--preprocessing", "unit", "--images"]
    assert convert(tmp_path / "pets.keras", tmp_path, *options, str(tmp_path / "none")) == 1
    assert "none does not exist: name a folder" in last_error(capsys)
    assert convert(tmp_path / "pets.keras", tmp_path, *options, labels) == 1
    assert "labels.txt is not a folder" in last_error(capsys)


def test_weights_without_a_network_are_told_what_they_lack(
    tmp_path: Path, labels: str, capsys: pytest.CaptureFixture[str]
) -> None:
    small_network(layers.Dense(3)).save_weights(tmp_path / "pets.weights.h5")
    assert convert(tmp_path / "pets.weights.h5", tmp_path, "--labels", labels, "--preprocessing", "tf") == 1
    assert "has only weights, no network: save the whole of it with model.save(" in last_error(capsys)


def test_what_a_layers_own_code_says_is_kept(tmp_path: Path, labels: str, capsys: pytest.CaptureFixture[str]) -> None:
    standardize = layers.Lambda(eval("lambda x: tf.image.per_image_standardization(x)"))
    small_network(layers.Dense(3), inside=(standardize,)).save(tmp_path / "pets.keras")
    options = ["--labels", labels, "--preprocessing", "none", "--unsafe"]
    assert convert(tmp_path / "pets.keras", tmp_path, *options) == 1
    assert "name 'tf' is not defined" in last_error(capsys)


def test_a_repository_that_cannot_be_written_is_said_before_the_file_is_opened(
    tmp_path: Path, labels: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "repository").write_text("a file")
    (tmp_path / "pets.keras").write_text("hello")
    assert convert(tmp_path / "pets.keras", tmp_path, "--labels", labels, "--preprocessing", "tf") == 1
    assert "nothing can be published there" in last_error(capsys)


def test_preprocess_input_in_a_lambda_layer_is_asked_for_by_an_advice_that_works(
    tmp_path: Path, labels: str, capsys: pytest.CaptureFixture[str]
) -> None:
    known = layers.Lambda(keras.applications.mobilenet_v2.preprocess_input)
    small_network(layers.Dense(3), inside=(known,)).save(tmp_path / "pets.keras")
    options = ["--labels", labels, "--preprocessing", "none"]
    assert convert(tmp_path / "pets.keras", tmp_path, *options) == 1
    error = last_error(capsys)
    assert "needs the definition of preprocess_input" in error
    code = tmp_path / "code.py"
    code.write_text(error.partition("`")[2].partition("`")[0])
    assert convert(tmp_path / "pets.keras", tmp_path, *options, "--code", str(code)) == 0


def test_a_detection_network_is_refused(tmp_path: Path, labels: str, capsys: pytest.CaptureFixture[str]) -> None:
    keras.Sequential([keras.Input((20, 20, 3)), layers.Conv2D(3, 3)]).save(tmp_path / "boxes.keras")
    assert convert(tmp_path / "boxes.keras", tmp_path, "--labels", labels, "--preprocessing", "tf") == 1
    assert "detection and segmentation" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["list", "dictionary", "savedmodel"])
def test_one_of_two_outputs_is_chosen_by_its_name(
    tmp_path: Path, labels: str, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    inputs = keras.Input((20, 20, 3))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(inputs))
    outputs = {"boxes": layers.Dense(4, name="boxes")(x), "scores": layers.Dense(3, name="scores")(x)}
    model = keras.Model(inputs, list(outputs.values()) if kind == "list" else outputs)
    file = tmp_path / ("pets" if kind == "savedmodel" else "pets.keras")
    if kind == "savedmodel":
        model.export(file, verbose=False)
    else:
        model.save(file)
    options = ["--labels", labels, "--preprocessing", "tf"]
    assert convert(file, tmp_path, *options) == 1
    error = last_error(capsys)
    assert "2 outputs (boxes, scores): name the classifier's with --output" in error
    assert f" {file.name} " in error, "the file's name, not the model's within it, functional_1"
    assert convert(file, tmp_path, *options, "--output", "logits") == 2
    assert "no output of that name; there are boxes, scores" in last_error(capsys)
    assert convert(file, tmp_path, *options, "--output", "scores") == 0


def test_output_is_for_files_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", "lenet5", "--output", "x", "--repository", str(tmp_path)]) == 2
    assert "--output is for Keras files and SavedModel folders" in last_error(capsys)


def forms() -> dict[str, tuple[tuple[int, ...], list[layers.Layer]]]:
    last = [layers.GlobalAveragePooling2D(), layers.Dense(3, activation="softmax")]
    sequence = [layers.Reshape((2, 6, 12, 3)), layers.ConvLSTM2D(4, 3)]
    return {
        "without a channel axis": ((12, 12), [layers.Flatten(), layers.Dense(3, activation="softmax")]),
        "convolutional to the end": (
            (12, 12, 3),
            [layers.GlobalAveragePooling2D(keepdims=True), layers.Conv2D(3, 1, activation="softmax")],
        ),
        "an If inside": ((30, 20, 3), [layers.Resizing(12, 12, pad_to_aspect_ratio=True), layers.Conv2D(4, 3), *last]),
        "a Loop inside": ((12, 12, 3), [*sequence, *last]),
    }


@pytest.mark.parametrize("form", forms())
def test_every_form_of_network_is_served(tmp_path: Path, labels: str, form: str) -> None:
    shape, body = forms()[form]
    keras.Sequential([keras.Input(shape), *body]).save(tmp_path / "pets.keras")
    assert convert(tmp_path / "pets.keras", tmp_path, "--labels", labels, "--preprocessing", "unit") == 0
    card = read_card(tmp_path / "repository/mine/1")
    assert (card.head, card.image.shape) == ("softmax", (*shape, 1) if len(shape) == 2 else shape)


def test_half_precision_that_cannot_be_made_is_said_in_a_line(
    tmp_path: Path, labels: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shape, body = forms()["an If inside"]
    keras.Sequential([keras.Input(shape), *body]).save(tmp_path / "pets.keras")
    options = ["--labels", labels, "--preprocessing", "unit", "--precision", "fp16"]
    assert convert(tmp_path / "pets.keras", tmp_path, *options) == 1
    assert "can't be converted to float16" in last_error(capsys)


def test_a_gray_network_without_a_channel_axis_can_be_trained_on(tmp_path: Path) -> None:
    keras.Sequential([keras.Input((28, 28)), layers.Flatten(), layers.Dense(10)]).save(tmp_path / "gray.keras")
    options = ["--dataset", "digits", "--preprocessing", "unit", "--epochs", "1", "--out", str(tmp_path / "run")]
    assert main(["train", str(tmp_path / "gray.keras"), *options]) == 0
    assert main(["convert", str(tmp_path / "run"), "--repository", str(tmp_path / "repository")]) == 0


def test_a_gray_savedmodel_without_a_channel_axis_is_served(tmp_path: Path, labels: str) -> None:
    model = keras.Sequential([keras.Input((12, 12)), layers.Flatten(), layers.Dense(3)])
    model.export(tmp_path / "gray", verbose=False)
    assert convert(tmp_path / "gray", tmp_path, "--labels", labels, "--preprocessing", "unit") == 0
    assert read_card(tmp_path / "repository/mine/1").image.shape == (12, 12, 1)


def test_a_class_of_keras_itself_is_never_asked_for(
    tmp_path: Path, labels: str, capsys: pytest.CaptureFixture[str]
) -> None:
    small_network(layers.Dense(3)).save(tmp_path / "whole.keras")
    with zipfile.ZipFile(tmp_path / "whole.keras") as whole, zipfile.ZipFile(tmp_path / "pets.keras", "w") as pets:
        for name in whole.namelist():
            pets.writestr(name, whole.read(name).replace(b'"filters"', b'"of_tomorrow"'))
    assert convert(tmp_path / "pets.keras", tmp_path, "--labels", labels, "--preprocessing", "unit") == 1
    assert "missing 1 required positional argument: 'filters'" in (error := last_error(capsys))
    assert "--code" not in error


@pytest.mark.parametrize(("policy", "tolerance"), [("float64", 1e-4), ("float16", 2e-3)])
def test_a_network_of_another_precision_is_served_in_one_that_runs(
    tmp_path: Path, labels: str, policy: str, tolerance: float
) -> None:
    keras.config.set_dtype_policy(policy)
    try:
        small_network(layers.BatchNormalization(), layers.Dense(3, activation="softmax")).save(tmp_path / "pets.keras")
        assert convert(tmp_path / "pets.keras", tmp_path, "--labels", labels, "--preprocessing", "unit") == 0
    finally:
        keras.config.set_dtype_policy("float32")
    assert read_card(tmp_path / "repository/mine/1").proof.abs_tolerance == tolerance


def test_a_savedmodel_of_mixed_precision_is_served(
    tmp_path: Path, labels: str, capfd: pytest.CaptureFixture[str]
) -> None:
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = small_network(layers.Dense(3, activation="softmax"))
        model.export(tmp_path / "pets", verbose=False)
    finally:
        keras.config.set_dtype_policy("float32")
    capfd.readouterr()
    assert convert(tmp_path / "pets", tmp_path, "--labels", labels, "--preprocessing", "unit") == 0
    assert read_card(tmp_path / "repository/mine/1").proof.abs_tolerance == 2e-3
    assert "Gemm" not in capfd.readouterr().err  # what tf2onnx warns of by the root logger


def test_weights_that_are_no_numbers_are_said(tmp_path: Path, labels: str, capsys: pytest.CaptureFixture[str]) -> None:
    model = small_network(layers.Dense(3))
    model.layers[0].set_weights([np.full_like(weight, np.nan) for weight in model.layers[0].get_weights()])
    model.save(tmp_path / "pets.keras")
    assert convert(tmp_path / "pets.keras", tmp_path, "--labels", labels, "--preprocessing", "tf") == 1
    assert "the network's answer is not finite (NaN or infinity)" in last_error(capsys)


DEFINITIONS = """
import pathlib
import keras
from keras import layers

pathlib.Path(__file__).with_name("executed").touch()

class Twice(layers.Layer):
    def call(self, x):
        return 2 * x

class Pets(keras.Model):
    def __init__(self, **arguments):
        super().__init__(**arguments)
        self.first = layers.Conv2D(4, 3, activation="relu")
        self.pool = layers.GlobalAveragePooling2D()
        self.last = layers.Dense(3)

    def call(self, x):
        return self.last(self.pool(self.first(x)))
"""


@pytest.fixture
def definitions(tmp_path: Path) -> Path:
    path = tmp_path / "pets_layers.py"
    path.write_text(DEFINITIONS)
    return path


def last_error(capsys: pytest.CaptureFixture[str]) -> str:
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("convserve-export:")]
    assert len(lines) == 1
    return lines[0]


def save_with(definitions: Path, file: Path, kind: str) -> keras.Model:
    """A model with a custom layer, or a subclassed one, as its author's own process would save it."""
    names = Definitions(definitions).names
    (definitions.parent / "executed").unlink()
    keras.utils.set_random_seed(0)
    if kind == "subclassed":
        model = names["Pets"](name="pets")
        model(np.zeros((1, 20, 20, 3), np.float32))
    else:
        model = small_network(layers.Dense(3), inside=(names["Twice"](),))
    model.save(file)
    return model


@pytest.mark.parametrize("kind", ["layer", "subclassed"])
def test_custom_definitions_come_from_the_file_named_and_are_executed_only_then(
    tmp_path: Path, labels: str, definitions: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    model = save_with(definitions, tmp_path / "pets.keras", kind)
    options = ["--labels", labels, "--preprocessing", "unit"]
    assert convert(tmp_path / "pets.keras", tmp_path, *options) == 1
    assert "--code FILE.py" in last_error(capsys)
    assert not (tmp_path / "executed").exists()
    assert convert(tmp_path / "pets.keras", tmp_path, *options, "--code", str(definitions)) == 0
    assert (tmp_path / "executed").exists()
    assert read_card(tmp_path / "repository/mine/1").network.parameters == model.count_params()


def test_a_definition_file_that_lacks_the_class_or_fails_is_named(
    tmp_path: Path, labels: str, definitions: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_with(definitions, tmp_path / "pets.keras", "subclassed")
    definitions.write_text("x = 1")
    options = ["--labels", labels, "--preprocessing", "unit", "--code", str(definitions)]
    assert convert(tmp_path / "pets.keras", tmp_path, *options) == 1
    assert "Pets" in (error := last_error(capsys))
    assert "doesn't define it" in error
    definitions.write_text("1 / 0")
    assert convert(tmp_path / "pets.keras", tmp_path, *options) == 2
    assert "ZeroDivisionError" in last_error(capsys)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_lambda_layers_run_only_when_trusted(
    tmp_path: Path, labels: str, suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / f"pets{suffix}"
    small_network(layers.Dense(3), inside=(layers.Lambda(lambda x: x / 255),)).save(file)
    options = ["--labels", labels, "--preprocessing", "none"]
    assert convert(file, tmp_path, *options) == 1
    assert "--unsafe" in last_error(capsys)
    assert convert(file, tmp_path, *options, "--unsafe") == 0


def test_preprocessing_of_a_model_inside_the_model_is_found(tmp_path: Path, labels: str) -> None:
    inputs = keras.Input((20, 20, 3))
    inner = keras.Sequential([keras.Input((20, 20, 3)), layers.Rescaling(1 / 127.5, -1), layers.Conv2D(4, 3)])
    model = keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(inner(inputs))))
    model.save(tmp_path / "pets.keras")
    assert convert(tmp_path / "pets.keras", tmp_path, "--labels", labels) == 0
    assert read_card(tmp_path / "repository/mine/1").preprocessing.name == "none"


def test_rescaling_behind_the_first_convolution_is_no_preprocessing(
    tmp_path: Path, labels: str, capsys: pytest.CaptureFixture[str]
) -> None:
    small_network(layers.Rescaling(2.0), layers.Dense(3)).save(tmp_path / "pets.keras")
    assert convert(tmp_path / "pets.keras", tmp_path, "--labels", labels) == 2
    assert "--preprocessing" in last_error(capsys)


def test_a_network_trained_in_mixed_precision_is_served_in_float32(tmp_path: Path, labels: str) -> None:
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = small_network(layers.BatchNormalization(), layers.Dense(3, activation="softmax"))
    finally:
        keras.config.set_dtype_policy("float32")
    model.save(tmp_path / "pets.keras")
    assert convert(tmp_path / "pets.keras", tmp_path, "--labels", labels, "--preprocessing", "unit") == 0
    card = read_card(tmp_path / "repository/mine/1")
    assert card.proof.max_abs_difference < 1e-5
    assert card.head == "softmax"


def test_multi_label_outputs_are_kept_as_they_are(tmp_path: Path, labels: str) -> None:
    small_network(layers.Dense(3, activation="sigmoid")).save(tmp_path / "pets.keras")
    assert convert(tmp_path / "pets.keras", tmp_path, "--labels", labels, "--preprocessing", "unit") == 0
    assert read_card(tmp_path / "repository/mine/1").multilabel


def test_a_network_of_any_size_is_given_one(tmp_path: Path, labels: str, capsys: pytest.CaptureFixture[str]) -> None:
    last = [layers.GlobalAveragePooling2D(), layers.Dense(3)]
    keras.Sequential([keras.Input((None, None, 3)), layers.Conv2D(4, 3), *last]).save(tmp_path / "pets.keras")
    options = ["--labels", labels, "--preprocessing", "unit"]
    assert convert(tmp_path / "pets.keras", tmp_path, *options) == 2
    assert "pets.keras reads images of any size: choose the size to serve with --size HxW" in last_error(capsys)
    assert convert(tmp_path / "pets.keras", tmp_path, *options, "--size", "24x32") == 0
    card = read_card(tmp_path / "repository/mine/1")
    assert (card.image.shape, card.network.name) == ((24, 32, 3), "pets.keras")


@pytest.mark.parametrize("batch", [None, 1, 4])
def test_a_savedmodel_is_served_whatever_batch_it_was_made_for(tmp_path: Path, labels: str, batch: int | None) -> None:
    import tensorflow as tf

    model = small_network(layers.Dense(3, activation="softmax"))
    signature = [tf.TensorSpec([batch, 20, 20, 3], tf.float32, name="photos")]
    function = tf.function(lambda photos: {"scores": model(photos)}, input_signature=signature)
    module = tf.Module()
    module.model = model
    tf.saved_model.save(module, str(tmp_path / "pets"), signatures={"scoring": function})
    options = ["--labels", labels, "--preprocessing", "unit"]
    assert convert(tmp_path / "pets", tmp_path, *options) == 2  # no serving_default
    assert convert(tmp_path / "pets", tmp_path, *options, "--signature", "scoring") == 0
    card = read_card(tmp_path / "repository/mine/1")
    assert (card.network.origin, card.head, card.max_batch) == ("savedmodel", "softmax", 32)
    assert card.network.parameters == model.count_params()


def test_an_unknown_signature_names_those_that_exist(
    tmp_path: Path, labels: str, capsys: pytest.CaptureFixture[str]
) -> None:
    small_network(layers.Dense(3)).export(tmp_path / "pets", verbose=False)
    options = ["--labels", labels, "--preprocessing", "unit"]
    assert convert(tmp_path / "pets", tmp_path, *options, "--signature", "nothing") == 2
    assert "serving_default" in last_error(capsys)
    assert convert(tmp_path / "pets", tmp_path, *options) == 0


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["pets.keras", "--weights", "imagenet"], "--weights is for networks by name"),
        (["pets.keras", "--signature", "x", "--labels", "LABELS", "--name", "a"], "--signature is for SavedModel"),
        (["model.onnx"], "convserve-export adopt model.onnx"),
        (["mobilenet_v4"], "did you mean mobilenet_v"),
    ],
)
def test_words_that_do_not_belong_together_are_said(
    tmp_path: Path,
    labels: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    complaint: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    small_network(layers.Dense(3)).save("pets.keras")
    words = [labels if word == "LABELS" else word for word in words]
    assert main(["convert", *words, "--repository", "repository"]) == 2
    assert complaint in last_error(capsys)


@pytest.mark.data
def test_the_real_mobilenet_recognizes_the_real_photos(mobilenet_file: Path, data_dir: Path, tmp_path: Path) -> None:
    options = ["--labels", "imagenet", "--preprocessing", "tf", "--fit", "crop"]
    assert convert(mobilenet_file, tmp_path, *options) == 0
    result = evaluate_published(open_published(tmp_path / "repository", "mine"), load_dataset("photos", data_dir))
    assert result.images == 50
    assert result.top1 >= 0.88
    assert result.top5 >= 0.94
