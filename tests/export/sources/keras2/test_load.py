"""Files that Keras 2 wrote (tests/fixtures/keras2, with its answers): the network that is served answers the same."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from export.errors import ConversionError
from export.sources.keras2.record import read_record
from export.sources.keras_file import load_keras_file

FOLDER = Path(__file__).parents[3] / "fixtures/keras2"
FILES = sorted(file.name for file in FOLDER.iterdir() if file.suffix in (".h5", ".keras"))


@pytest.mark.parametrize("file", FILES)
def test_a_file_of_keras_2_answers_as_keras_2_did(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    model = load_keras_file(FOLDER / file)
    assert f"{file} was written by Keras 2.15.0" in capsys.readouterr().err
    name = file.partition(".")[0]
    with np.load(FOLDER / "answers.npz") as answers:
        tolerance = 3e-2 if name == "mixed" else 1e-4  # its answers were given in half precision
        np.testing.assert_allclose(model(answers["pixels"], training=False), answers[name], atol=tolerance)
        assert np.ptp(answers[name], axis=0).max() > 0.1  # answers that are all alike would prove nothing


@pytest.mark.parametrize("file", FILES)
def test_what_was_brought_over_is_saved_and_opened_again(file: str, tmp_path: Path) -> None:
    model = load_keras_file(FOLDER / file)
    model.save(tmp_path / "again.keras")  # as a training does
    again = load_keras_file(tmp_path / "again.keras")
    with np.load(FOLDER / "answers.npz") as answers:
        pixels = answers["pixels"]
    np.testing.assert_allclose(again(pixels, training=False), model(pixels, training=False), atol=1e-6)


def change_config(source: Path, target: Path, change: Any) -> Path:
    """The same .h5 file with another configuration."""
    shutil.copy(source, target)
    with h5py.File(target, "a") as content:
        config = json.loads(content.attrs["model_config"])
        change(config["config"]["layers"])
        content.attrs["model_config"] = json.dumps(config)
    return target


def test_networks_are_called_model_in_older_files(tmp_path: Path) -> None:
    shutil.copy(FOLDER / "teachable.h5", tmp_path / "keras_model.h5")
    with h5py.File(tmp_path / "keras_model.h5", "a") as content:
        config = content.attrs["model_config"].replace('"class_name": "Functional"', '"class_name": "Model"')
        content.attrs["model_config"] = config
        content.attrs["keras_version"] = "2.4.0"
    with np.load(FOLDER / "answers.npz") as answers:
        given = load_keras_file(tmp_path / "keras_model.h5")(answers["pixels"], training=False)
        np.testing.assert_allclose(given, answers["teachable"], atol=1e-4)


def test_a_layer_that_was_built_twice_bears_another_name_in_its_group(tmp_path: Path) -> None:
    file = shutil.copy(FOLDER / "sequential.h5", tmp_path / "net.h5")
    with h5py.File(file, "r+") as opened:
        groups = [group for group in opened["model_weights"].values() if isinstance(group, h5py.Group)]
        scopes = [(group, name) for group in groups for name in group if isinstance(group[name], h5py.Group)]
        for group, name in scopes:
            group.move(name, f"{name}_1")
    assert len(scopes) >= 5
    with np.load(FOLDER / "answers.npz") as answers:
        given = load_keras_file(tmp_path / "net.h5")(answers["pixels"], training=False)
        np.testing.assert_allclose(given, answers["sequential"], atol=1e-4)


def rename_kernel(layers: list[dict[str, Any]]) -> None:
    next(layer for layer in layers if layer["class_name"] == "Conv2D")["config"]["name"] = "another"


def set_groups(layers: list[dict[str, Any]]) -> None:
    next(layer for layer in layers if layer["class_name"] == "DepthwiseConv2D")["config"]["groups"] = 2


def forget_layer(layers: list[dict[str, Any]]) -> None:
    layers.remove(next(layer for layer in layers if layer["class_name"] == "LeakyReLU"))
    layers[-1]["class_name"] = "Activation"
    layers[-1]["config"] = {"name": "dense", "activation": "softmax"}


def ask_for_local(layers: list[dict[str, Any]]) -> None:
    layers[3]["class_name"] = "LocallyConnected2D"


def ask_for_own(layers: list[dict[str, Any]]) -> None:
    layers[3]["class_name"] = "MyAttention"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (rename_kernel, "0 of its weights could be another/kernel"),
        (set_groups, "Keras 3's DepthwiseConv2D has no groups, depthwise_conv2d sets it to 2"),
        (forget_layer, r"its weight dense/bias:0 belongs to no layer"),
        (ask_for_local, "Keras 3 has no layer LocallyConnected2D;"),
        (ask_for_own, "no layer MyAttention: if it is one of your own, name its definition with --code FILE.py;"),
    ],
)
def test_what_cannot_be_brought_over_is_said_with_the_way_that_works(
    tmp_path: Path, change: Any, complaint: str
) -> None:
    file = change_config(FOLDER / "sequential.h5", tmp_path / "net.h5", change)
    with pytest.raises(ConversionError) as caught:
        load_keras_file(file)
    assert "was written by Keras 2.15.0" in str(caught.value)
    assert complaint in str(caught.value)
    assert "tf_keras.models.load_model('net.h5').save('net', save_format='tf')" in str(caught.value)


def test_an_unknown_function_of_tensorflow_is_named(tmp_path: Path) -> None:
    def change(layers: list[dict[str, Any]]) -> None:
        next(layer for layer in layers if layer["class_name"] == "TFOpLambda")["config"]["function"] = "signal.fft2d"

    file = change_config(FOLDER / "transfer.h5", tmp_path / "net.h5", change)
    with pytest.raises(ConversionError, match=r"tf\.signal\.fft2d can't be converted to Keras 3"):
        load_keras_file(file)


def test_weights_of_another_number_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(FOLDER / "sequential.keras") as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    parts["config.json"] = parts["config.json"].replace(b'"use_bias": true', b'"use_bias": false', 1)
    with zipfile.ZipFile(tmp_path / "net.keras", "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    with pytest.raises(ConversionError, match=r"conv2d has weights \[.vars/0.\], in the file \[.vars/0., .vars/1.\]"):
        load_keras_file(tmp_path / "net.keras")


def test_a_record_tells_the_writer_and_whether_there_is_a_network(tmp_path: Path) -> None:
    assert read_record(FOLDER / "transfer.keras").version == "2.15.0"
    h5py.File(tmp_path / "m.weights.h5", "w").close()
    assert read_record(tmp_path / "m.weights.h5").config is None
    (tmp_path / "m.h5").write_bytes(b"hello")
    with pytest.raises(ConversionError, match="neither a zip archive"):
        read_record(tmp_path / "m.h5")
