from pathlib import Path

import pytest
from pydantic import ValidationError

from app.settings import Settings, load_settings


def test_a_flag_beats_the_environment_which_beats_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "settings.toml"
    file.write_text('port = 1\nhost = "file"\nmax_images = 3\n')
    monkeypatch.setenv("CONVSERVE_HOST", "environment")
    monkeypatch.setenv("CONVSERVE_PORT", "2")
    settings = load_settings(["--port", "3"], file)
    assert (settings.port, settings.host, settings.max_images, settings.max_pixels) == (3, "environment", 3, 50_000_000)


def test_a_table_of_the_file_overrides_for_one_model(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text("max_batch_size = 16\n[model.vgg16]\nmax_batch_size = 4\ntimeout_ms = 60000\n")
    settings = load_settings([], file)
    assert settings.of_model("vgg16").max_batch_size == 4
    assert settings.of_model("vgg16").timeout_ms == 60_000
    assert settings.of_model("lenet5").max_batch_size == 16


def test_a_table_can_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONVSERVE_MODEL__LENET5__MAX_WAIT_MS", "2.5")
    assert load_settings().of_model("lenet5").max_wait_ms == 2.5


@pytest.mark.parametrize("line", ["prot = 1", "[model.a]\nmax_batch = 1", 'device = "gpu"', 'versions = "newest"'])
def test_a_misspelled_setting_is_an_error(tmp_path: Path, line: str) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(line)
    with pytest.raises(ValidationError):
        load_settings([], file)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_settings([], tmp_path / "none.toml")


def test_every_setting_has_a_default_and_a_line_of_help() -> None:
    for name, field in Settings.model_fields.items():
        assert not field.is_required(), name
        assert field.description, name
        assert "\n" not in field.description, name


def test_lists_can_be_given_with_commas() -> None:
    assert load_settings(["--require", "a,b", "--require", "c"]).require == ["a", "b", "c"]
