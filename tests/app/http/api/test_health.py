import asyncio
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient

from app.catalog.catalog import Catalog
from app.inference.model import LoadedModel, load_model
from app.main import create_app
from app.settings import Settings
from tests.makers.artifacts import gray_image


def test_ready_only_once_models_were_loaded(repository: Path) -> None:
    go = asyncio.Event()

    async def load_when_told(folder: Path, settings: Settings, **options: Any) -> LoadedModel:
        await go.wait()
        return await load_model(folder, settings, **options)

    settings = Settings(repository=repository)
    app = create_app(settings, Catalog(settings, load=load_when_told))
    with TestClient(app) as client:
        assert client.get("/health/live").status_code == 200
        unready = client.get("/health/ready")
        assert (unready.status_code, unready.json()["detail"]) == (503, "models are loading")
        loading = client.post("/predict/tiny", content=gray_image(3))
        assert (loading.status_code, loading.json()["code"]) == (503, "loading")
        assert "Retry-After" in loading.headers
        assert client.portal is not None
        client.portal.call(lambda: go.set())
        client.portal.call(app.state.services.catalog.wait_until_tried)
        assert client.get("/health/ready").json() == {"status": "ready"}


def test_an_empty_repository_is_live_but_never_ready(tmp_path: Path, open_client: Any) -> None:
    client = open_client(repository=tmp_path)
    assert client.get("/health/live").status_code == 200
    assert "no model" in client.get("/health/ready").json()["detail"]


def test_a_missing_repository_says_how_to_fill_it(tmp_path: Path, open_client: Any) -> None:
    response = open_client(repository=tmp_path / "none").get("/health/ready")
    assert response.status_code == 503
    assert "convserve-export" in response.json()["detail"]


def test_a_required_model_that_did_not_load_keeps_the_server_unready(repository: Path, open_client: Any) -> None:
    client = open_client(repository=repository, require=["tiny", "absent"])
    assert "absent" in client.get("/health/ready").json()["detail"]
    assert client.post("/predict/tiny", content=gray_image(3)).status_code == 200
