import json
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

import app.platforms
from app.cli.main import main
from app.cli.read_settings import read_settings
from app.cli.usage import UsageError
from app.main import create_app
from app.platforms import OWN_HEALTH_ROUTES, OWN_ROUTES, is_own, read_demands
from app.settings import Settings
from app.settings_sources import load_settings


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """In the place of SageMaker's."""
    found = tmp_path / "model"
    found.mkdir()
    monkeypatch.setattr(app.platforms, "SAGEMAKER_FOLDER", found)
    return found


def test_vertex_ais_variables_are_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONVSERVE_PORT", "8000")  # as the image has it
    monkeypatch.setenv("AIP_HTTP_PORT", "8085")
    monkeypatch.setenv("AIP_HEALTH_ROUTE", "/v1/endpoints/1/deployedModels/2")
    monkeypatch.setenv("AIP_PREDICT_ROUTE", "/v1/endpoints/1/deployedModels/2:predict/")
    monkeypatch.setenv("AIP_STORAGE_URI", "gs://bucket/models")
    settings = load_settings()
    assert (settings.port, settings.repository) == (8085, "gs://bucket/models")
    assert settings.health_route == "/v1/endpoints/1/deployedModels/2"
    assert settings.predict_route == "/v1/endpoints/1/deployedModels/2:predict"
    assert load_settings(["--port", "1"]).port == 1


def test_sagemakers_folder_means_its_port(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not read_demands({}), "an empty folder is nobody's"
    (folder / "lenet5").mkdir()
    assert (load_settings().port, load_settings().repository) == (8080, folder)
    monkeypatch.setenv("SAGEMAKER_BIND_TO_PORT", "9001")
    assert load_settings().port == 9001


def test_show_settings_names_the_variable(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("AIP_HTTP_PORT", "8085")
    monkeypatch.setenv("CONVSERVE_MAX_IMAGES", "3")
    assert main(["serve", "--show-settings", "--host", "::1"]) == 0
    shown = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines()}
    assert shown["port"] == ["8085", "AIP_HTTP_PORT"]
    assert shown["max_images"] == ["3", "environment"]
    assert shown["host"] == [json.dumps("::1"), "flag"]
    assert shown["predict_route"] == ["null", "default"]


@pytest.mark.parametrize(
    ("setting", "route", "words"),
    [
        ("predict-route", "/explain/lenet5", "already uses /explain/lenet5: take /predict"),
        ("predict-route", "/predict/lenet5", "already uses"),
        ("predict-route", "/v1/models/lenet5:predict", "already uses"),
        ("predict-route", "/metrics/", "already uses /metrics"),
        ("predict-route", "predict", "a route is a path"),
        ("predict-route", "/{name}", "a route is a path"),
        ("predict-route", "/", "a route is a path"),
        ("health-route", "/models", "take /health/live, /health/ready, /ping"),
        ("health-route", "/a?b", "a route is a path"),
    ],
)
def test_an_address_of_ours_is_refused_at_the_start(setting: str, route: str, words: str) -> None:
    with pytest.raises(UsageError, match=setting.replace("-", "_")) as refused:
        read_settings([f"--{setting}", route], None)
    assert words in str(refused.value)


def test_every_address_of_the_service_is_known(tmp_path: Path) -> None:
    app = create_app(Settings(repository=tmp_path))
    with TestClient(app) as client:
        documented = client.get("/openapi.json").json()["paths"]
        assert client.get("/docs").status_code == 200  # itself no part of what it shows
    paths = {"/docs", *documented, *(route.path for route in app.routes if hasattr(route, "path"))}
    assert not [path for path in paths - {""} if not is_own(path)]
    assert not [own for own in OWN_ROUTES if not any(f"{path}/".startswith(f"{own}/") for path in paths)]
    assert set(OWN_HEALTH_ROUTES) <= documented.keys()
