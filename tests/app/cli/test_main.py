import csv
import json
import shutil
from importlib.metadata import version
from pathlib import Path

import pytest

from app.cli.main import main
from tests.makers.artifacts import gray_image
from tests.makers.running_server import run_serve


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two images, one file that only says so, and one that is something else."""
    images = tmp_path / "images"
    (images / "deep").mkdir(parents=True)
    (images / "black.png").write_bytes(gray_image(0))
    (images / "broken.jpg").write_bytes(b"no image")
    (images / "deep" / "white.JPEG").write_bytes(gray_image(255, kind="JPEG"))
    (images / "notes.txt").write_text("not an image")
    return images


def test_predict_prints_a_table_with_bars(repository: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", "tiny", str(folder / "black.png"), "--repository", str(repository), "--top-k", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("black.png")
    assert lines[1].split()[0] == "black"
    assert "█" in lines[1]
    assert len(lines) == 3


def test_predict_of_a_folder_gives_json_lines_and_names_the_failed(
    repository: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", "tiny", str(folder), "--repository", str(repository), "--json"]) == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [Path(line["file"]).name for line in lines] == ["black.png", "broken.jpg", "white.JPEG"]
    assert lines[0]["predictions"][0]["classes"][0]["label"] == "black"
    assert "not an image" in lines[1]["error"]


def test_predict_fills_a_csv_and_says_how_many(
    repository: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "answers.csv"
    assert main(["predict", "tiny", str(folder), "--repository", str(repository), "--csv", str(out)]) == 1
    with out.open() as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["file", "label", "probability", "error"]
    assert [row[1] for row in rows[1:]] == ["black", "", "white"]
    assert "3 images, 1 failed, " in capsys.readouterr().err
    assert [path.name for path in tmp_path.glob("*.part")] == []


def test_models_lists_them(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (repository / "foreign").mkdir()
    assert main(["models", "--repository", str(repository)]) == 0
    out = capsys.readouterr().out
    assert "tiny" in out
    assert "8x8x1" in out
    assert "no version folder" in out


def test_the_version_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"convserve {version('convserve')}\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "usage"),
        (["sing"], "unknown command 'sing'\n"),
        (["benhc"], "unknown command 'benhc' (did you mean bench?)"),
        (["serve", "--prot", "1"], "--prot"),
        (["serve", "--port", "x"], "port"),
        (["serve", "--device", "gpu"], "device"),
        (["serve", "--settings", "/none.toml"], "/none.toml"),
    ],
)
def test_a_wrong_use_is_one_line_and_status_2(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    err = capsys.readouterr().err
    assert words in err
    assert "Traceback" not in err
    if arguments and arguments[0] == "serve":
        assert len(err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("flags", "remedy"),
    [
        (["--prot", "1"], "unknown option --prot (did you mean --port?): `convserve serve --help` lists them"),
        (["rep"], "a value has no flag before it, as DIR has in --repository DIR"),
        (["--device", "gpu"], "the setting device is 'gpu': give auto, cpu, cuda, or cuda:0"),
        (["--log-level", "loud"], "the setting log_level is 'loud': give debug, info, warning or error"),
        (["--versions", "first"], "the setting versions is 'first': give latest, all, or numbers such as 3 or 1,3"),
        (
            ["--host", "192.0.2.1", "--repository", "."],
            "name an address of this machine with --host, such as 127.0.0.1",
        ),
    ],
)
def test_a_wrong_flag_is_answered_with_what_to_write_instead(
    flags: list[str], remedy: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", "--port", "0", *flags]) == 2
    assert remedy in capsys.readouterr().err


def test_an_unknown_setting_of_a_file_is_answered_with_the_nearest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "settings.toml").write_text("prot = 1")
    assert main(["serve", "--settings", str(tmp_path / "settings.toml")]) == 2
    assert "unknown setting prot (did you mean port?)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("repository", "reason"), [("absent", "can't be read (No such file or directory)"), (".", "no model of the reposi")]
)
def test_a_repository_without_models_is_an_error(
    tmp_path: Path, repository: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "--repository", str(tmp_path / repository)]) == 1
    assert reason in capsys.readouterr().err


def test_an_unknown_model_is_answered_with_the_command_that_lists_them(
    repository: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", "tinny", str(folder), "--repository", str(repository)]) == 1
    assert "has no model 'tinny': `convserve models` lists those that it has" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["predict"], ["predict", "m", "i", "--url", "u", "--repository", "r"]])
def test_argparse_errors_have_status_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2


SECRET = "cs-" + "Ab3_" * 10 + "xyz"


@pytest.mark.parametrize(
    ("flags", "file", "words"),
    [
        (["--api-keys", SECRET], "", "convserve key"),
        ([f"--admin-keys={SECRET}"], "", "convserve key"),
        ([], f'api_keys = ["{SECRET}"]', "convserve key"),
        ([], f'api_keys = "{SECRET}"', "convserve key"),
        ([], f'api_key = "{SECRET}"', "unknown setting api_key"),
        ([], f"api_keys = {SECRET}", "TOML"),
        (["--api-key", SECRET], "", "unknown option --api-key"),
        ([f"--api-key={SECRET}"], "", "unknown option --api-key"),
        ([SECRET], "", "no flag before it"),
        ([], f'[keys.a]\nhash = "{SECRET}"', "convserve key"),
        ([], f'keys = {{a = "{SECRET}"}}', "keys.a"),
        ([], f'[keys.a]\nhash = "{"0" * 64}"\nkey = "{SECRET}"', "unknown setting keys.a.key"),
        ([], f'[keys.a]\nkey = "{SECRET}"', "keys.a.hash"),
    ],
)
def test_a_wrong_setting_never_tells_the_key_that_is_in_it(
    tmp_path: Path, flags: list[str], file: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "settings.toml").write_text(file)
    assert main(["serve", "--settings", str(tmp_path / "settings.toml"), *flags]) == 2
    written = capsys.readouterr()
    assert words in written.err
    assert len(written.err.splitlines()) == 1
    assert SECRET[3:12] not in written.out + written.err


def test_a_key_in_the_environment_is_not_told_either(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CONVSERVE_API_KEYS", SECRET)
    monkeypatch.setenv("CONVSERVE_API_KEY", SECRET)
    assert main(["serve"]) == 2
    error = capsys.readouterr().err
    assert "convserve key" in error
    assert SECRET[3:12] not in error


def test_an_unknown_model_is_told_in_the_service_s_own_words(
    repository: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", "other", str(folder / "black.png"), "--repository", str(repository)]) == 1
    assert "other" in capsys.readouterr().err


@pytest.mark.skipif(shutil.which("nvidia-smi") is not None, reason="this machine may have a GPU")
def test_a_server_told_to_use_cuda_does_not_start_without_it(repository: Path) -> None:
    ended = run_serve("--repository", str(repository), "--device", "cuda", "--port", "0")
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert "CUDA is not available" in ended.stderr
    assert "--device cpu" in ended.stderr


def test_a_service_that_cannot_be_reached_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "--url", "http://127.0.0.1:9"]) == 1
    err = capsys.readouterr().err
    assert "can't be reached" in err
    assert len(err.strip().splitlines()) == 1


def test_serve_help_shows_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["serve", "--help"])
    assert ended.value.code == 0
    out = capsys.readouterr().out
    for flag in ("--settings", "--repository", "--max-queue-rows", "--device"):
        assert flag in out


def test_a_missing_repository_is_one_line_that_says_how_to_fill_it(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", "m", str(folder / "black.png"), "--repository", str(tmp_path / "none")]) == 1
    err = capsys.readouterr().err
    assert "fill it with convserve-export" in err
    assert len(err.strip().splitlines()) == 1
