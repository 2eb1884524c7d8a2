from __future__ import annotations

import json
from pathlib import Path

import pytest

from export.cli.main import main


def test_networks_are_listed_for_people_and_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["networks", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {"name": "lenet5", "parameters": 61_706, "year": 1998}.items() <= rows[0].items()
    assert main(["networks"]) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 120


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["train", "lenet", "--dataset", "digits"], "did you mean lenet5?"),
        (["train", "lenet", "--dataset", "digits", "--set", "width=4"], "did you mean lenet5?"),
        (["train", "lenet5", "--dataset", "digit"], "did you mean digits?"),
        (["train"], "name what to train"),
        (["train", "lenet5"], "--dataset is missing"),
        (
            ["train", "lenet5", "--dataset", "digits", "--epochs", "0"],
            "epochs = 0 should be greater than or equal to 1",
        ),
        (["train", "lenet5", "--dataset", "digits", "--set", "flp=true"], "no field 'flp' (did you mean flip?)"),
        (["train", "lenet5", "--dataset", "digits", "--set", "dataset=mnist"], "the dataset is named with --dataset"),
        (["train", "lenet5", "--recipe", "quikstart"], "did you mean quickstart?"),
        (["train", "mobilenet_v2", "--dataset", "digits"], "--weights imagenet, or with --weights FILE"),
        (["build", "quick", "--repository", "r"], "unknown recipe 'quick'"),
        (["build", "mine.toml", "--repository", "r"], "recipe mine.toml: there is no such file"),
        (["build", "../open.toml", "--repository", "r"], "does not name its network or its data set"),
        (["build", "quickstart", "lenet5-mnist", "--name", "a", "--repository", "r"], "--name names one model"),
        (["convert", "nothing.keras", "--repository", "r"], "neither a run folder nor a .keras or .h5 file"),
        (["verify", "nothing", "--repository", "no-such-folder"], "has no model 'nothing': there are none"),
    ],
)
def test_usage_errors_are_one_line_and_status_2(
    words: list[str],
    complaint: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    (tmp_path / "open.toml").write_text("epochs = 1\n")
    assert main(words) == 2
    error = capsys.readouterr().err
    assert complaint in error
    assert error.count("\n") == 1
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["convrt", "a.keras"], "convserve-export: argument COMMAND: invalid choice: 'convrt'"),
        (
            ["convert", "a.keras", "--repository", "r", "--preproccessing", "unit"],
            "convserve-export convert: unknown argument --preproccessing (did you mean --preprocessing?): "
            "`convserve-export convert --help` says more",
        ),
        (["convert", "a.keras"], "convserve-export convert: the following arguments are required: --repository"),
        (
            ["networks", "lenet5"],
            "convserve-export networks: unknown argument lenet5: `convserve-export networks --help`",
        ),
    ],
)
def test_words_that_a_command_does_not_have_are_said_in_one_line(
    words: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(complaint)


@pytest.mark.parametrize("seed", ["-1", "5000000000", "one"])
def test_a_seed_that_can_not_be_is_refused(seed: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["train", "lenet5", "--dataset", "digits", "--seed", seed])
    assert ended.value.code == 2
    assert f"'{seed}' is not a whole number of 0 to 4,294,967,295" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["build", "train", "convert", "adopt", "time", "suspects", "cascade", "pack"])
def test_help_keeps_to_the_width_of_the_terminal(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    with pytest.raises(SystemExit):
        main([command, "--help"])
    described = capsys.readouterr().out.partition("options:")[0]
    assert max(map(len, described.splitlines())) <= 120


@pytest.mark.parametrize("words", [[], ["build", "quickstart"], ["train", "lenet5", "--set", "epochs"]])
def test_missing_words_exit_with_2(words: list[str]) -> None:
    with pytest.raises(SystemExit) as exit_status:
        main(words)
    assert exit_status.value.code == 2


def test_a_repository_that_cannot_be_written_is_said_before_any_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    words = ["build", "quickstart", "--repository", str(tmp_path / "file/repository"), "--runs", str(tmp_path / "runs")]
    assert main(words) == 1
    assert "nothing can be published there" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_ctrl_c_is_said_in_a_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("export.cli.networks_table.print_networks", interrupt)
    assert main(["networks"]) == 130
    assert "every file is complete" in capsys.readouterr().err
