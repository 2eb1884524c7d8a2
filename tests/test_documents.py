"""What docs/ says of settings and metrics exists."""

import re
from pathlib import Path

import pytest

from app.observe.metrics import FAMILIES
from app.settings import ModelSettings, Settings, load_settings

DOCS = Path(__file__).parent.parent / "docs"
DRIFT = {"convserve_class_drift", "convserve_confidence_drift"}


@pytest.mark.parametrize("page", ["operating.md", "clients.md"])
def test_every_metric_and_flag_that_a_page_names_exists(page: str) -> None:
    text = (DOCS / page).read_text()
    assert set(re.findall(r"convserve_\w+", text)) <= FAMILIES.keys() | DRIFT
    flags = {flag.replace("-", "_") for flag in re.findall(r"--([a-z][a-z-]+)", text.replace("--data-binary", ""))}
    assert flags <= Settings.model_fields.keys() | {"settings", "show_settings", "help"}


def test_the_example_of_a_settings_file_is_one(tmp_path: Path) -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", (DOCS / "operating.md").read_text(), re.DOTALL)
    file = tmp_path / "settings.toml"
    file.write_text(example)
    assert load_settings([], file).model["vgg16"] == ModelSettings(max_batch_size=8, timeout_ms=30_000)
