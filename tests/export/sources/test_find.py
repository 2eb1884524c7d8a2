"""What a word of the command line is, and what is said where it is nothing: the same for every command."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from export.cli.main import main
from export.errors import UsageError
from export.sources.find import identify


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of each; what is in them doesn't matter here."""
    for name in ("run/run.json", "lenet5/run.json", "saved/saved_model.pb", "net.keras", "old.h5", "net.tflite"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "vgg16").mkdir()
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("word", "weights", "kind"),
    [
        ("run", None, "run"),
        ("saved", None, "savedmodel"),
        ("net.keras", None, "keras-file"),
        ("old.h5", None, "keras-file"),
        ("senet154", None, "network"),
        ("senet154", "mine.h5", "network"),
        ("mobilenet_v2", None, "application"),
        ("mobilenet_v2", "mine.h5", "application"),
        ("resnet50", None, "network"),  # both have one: ours
        ("resnet50", "imagenet", "application"),
        ("vgg16", None, "network"),  # an empty folder of that name hides nothing
        ("lenet5", None, "run"),  # what lies there goes before a name
    ],
)
def test_a_word_is_what_lies_there_or_a_network(word: str, weights: str | None, kind: str) -> None:
    assert identify(word, weights) == kind


def test_a_training_finds_its_network_beside_a_run_folder_of_that_name() -> None:
    assert identify("lenet5", names_first=True) == "network"
    assert identify("run", names_first=True) == "run"


@pytest.mark.parametrize(
    ("word", "weights", "complaint"),
    [
        ("resnet19", None, r"nor the name of a network \(did you mean resnet1\d\?\): `convserve-export networks`"),
        ("mobilenet_v4", None, r"did you mean mobilenet_v\d"),
        ("nothing.keras", None, "neither a run folder nor a .keras or .h5 file or SavedModel folder that exists"),
        (".", None, r"it has no run\.json.*it has no saved_model\.pb\): name one of these, or a \.keras or \.h5 file"),
        ("saved/saved_model.pb", None, "name its folder, saved"),
        ("net.tflite", None, r"ends in \.keras, \.h5, \.hdf5"),
        ("net.onnx", None, "convserve-export adopt net.onnx"),
        ("senet154", "imagenet", "no ImageNet weights of senet154: .*mobilenet_v2.* have them"),
        ("net.keras", "imagenet", "net.keras has its own weights"),
        ("run", "mine.h5", "run has its own weights"),
    ],
)
def test_a_word_that_is_nothing_is_said_with_the_remedy(word: str, weights: str | None, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        identify(word, weights)


@pytest.mark.parametrize(
    "command",
    [["convert", "--repository", "repository"], ["train", "--dataset", "digits"], ["time"]],
    ids=lambda words: words[0],
)
@pytest.mark.parametrize("word", ["resnet19", "saved/saved_model.pb", "net.onnx"])
def test_every_command_says_it_alike(command: list[str], word: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError) as said:
        identify(word)
    assert main([command[0], word, *command[1:]]) == 2
    assert capsys.readouterr().err == f"convserve-export: {said.value}\n"


@pytest.mark.parametrize(
    ("word", "complaint"),
    [
        ("saved", "saved is a SavedModel folder, which can't be trained on: name a .keras or .h5 file"),
        ("mobilenet_v2", "it is trained from weights that it has, with --weights imagenet, or with --weights FILE"),
    ],
)
def test_what_no_training_begins_with_is_said(word: str, complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", word, "--dataset", "digits"]) == 2
    assert complaint in capsys.readouterr().err


def test_a_training_that_is_not_finished_can_not_be_timed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["time", "run"]) == 1
    assert "not finished (no model.keras): run the same train command again" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("word", "options", "complaint"),
    [
        ("run", ["--resize", "nearest"], "--resize: run is a run folder, which records its preprocessing"),
        ("run", ["--size", "8x8", "--head", "softmax"], "--size, --head: run is a run folder.*leave them out"),
        ("run", ["--dataset", "digits"], "--dataset: run is a run folder"),
        ("run", ["--signature", "x"], "--signature is for SavedModel folders, run is a run folder"),
        ("saved", ["--code", "x.py"], "--code is for Keras files and runs, saved is a SavedModel folder"),
        ("net.keras", ["--signature", "x"], "--signature is for SavedModel folders, net.keras is a Keras file"),
        ("senet154", ["--unsafe"], "--unsafe is for Keras files and runs, senet154 is a network by name"),
        ("net.keras", ["--skip-damaged"], "--skip-damaged is for a folder that --dataset names"),
    ],
)
def test_an_option_that_would_do_nothing_is_refused(
    word: str, options: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["convert", word, *options, "--repository", "repository"]) == 2
    assert re.search(complaint, capsys.readouterr().err)


def test_a_command_that_is_printed_can_be_typed(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"convserve-export adopt 'my net\.onnx'"):
        identify("my net.onnx")
