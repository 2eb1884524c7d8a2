"""What `convserve serve --show-settings` and `convserve key` print."""

import re
from pathlib import Path

import pytest

from app.admission.keys import hash_key
from app.cli.main import main
from app.settings_sources import find_sources


def test_each_setting_is_shown_with_its_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "settings.toml"
    file.write_text('port = 1\nmax_images = 3\nhost = "::1"\n')
    monkeypatch.setenv("CONVSERVE_PORT", "2")
    monkeypatch.setenv("CONVSERVE_HOST", "0.0.0.0")
    assert main(["serve", "--settings", str(file), "--port", "3", "--show-settings"]) == 0
    shown = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines()}
    assert shown["port"] == ["3", "flag"]
    assert shown["host"] == ['"0.0.0.0"', "environment"]
    assert shown["max_images"] == ["3", str(file)]
    assert shown["max_pixels"] == ["50000000", "default"]


def test_without_a_file_everything_else_is_a_default() -> None:
    assert set(find_sources().values()) == {"default"}


def test_what_receipts_are_signed_with_is_never_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CONVSERVE_RECEIPT_KEY", "s3cret" * 9)
    assert main(["serve", "--show-settings"]) == 0
    assert main(["serve", "--repository", str(tmp_path), "--port", "0"]) == 2
    printed = capsys.readouterr()
    assert re.search(r'^receipt_key +"\(hidden\)" +environment$', printed.out, re.MULTILINE)
    assert "the file that receipt_key names can't be read: No such file or directory" in printed.err
    assert "s3cret" not in printed.out + printed.err


def test_a_key_is_printed_with_the_hash_that_settings_take(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["key"]) == 0
    key, hashed = (line.split()[1] for line in capsys.readouterr().out.splitlines())
    assert hash_key(key) == hashed


@pytest.mark.parametrize("flags", [["--api-keys", "plain text"], ["--aliases", "{"], ["--memory-budget", "-1"]])
def test_a_key_itself_is_no_setting_and_neither_is_nonsense(
    flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", *flags]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
