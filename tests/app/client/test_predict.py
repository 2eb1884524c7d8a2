"""`convserve predict` over many images: where they come from, what they come to, and the way that they take."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

from app.admission.keys import hash_key
from app.cli.main import main
from app.client.connect import OwnService, RequestFailed, Service
from app.main import create_app
from app.settings import ModelSettings, Settings
from tests.makers.artifacts import gray_image, make_artifact
from tests.makers.stores import WebStandIn


@pytest.fixture
def class_folders(tmp_path: Path) -> Path:
    """Six images in the folders of the model's classes, one of them in a wrong one, and one that is damaged."""
    folder = tmp_path / "classes"
    for name, levels in {"black": (0, 10), "white": (250, 255, 5), "gray": (128,)}.items():
        (folder / name).mkdir(parents=True)
        for level in levels:
            (folder / name / f"{level}.png").write_bytes(gray_image(level))
    (folder / "white" / "damaged.png").write_bytes(gray_image(255)[:-20])
    return folder


def test_class_folders_end_with_accuracy_and_counts(
    repository: Path, class_folders: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", "tiny", str(class_folders), "--repository", str(repository), "--json"]) == 1
    said = capsys.readouterr()
    assert len(said.out.splitlines()) == 7
    counts, accuracy = said.err.splitlines()  # no progress: it isn't a terminal
    assert counts.startswith("7 images, 1 failed, ")
    assert counts.endswith(" images/s")
    assert accuracy == "accuracy 83.33%: 5 right of 6 with a label"


def test_who_runs_the_command_needs_no_key(
    repository: Path, class_folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONVSERVE_API_KEYS", json.dumps([hash_key("a key")]))
    assert main(["predict", "tiny", str(class_folders / "black"), "--repository", str(repository)]) == 0


def test_a_manifest_may_name_files_and_addresses(
    repository: Path, class_folders: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    web = WebStandIn(class_folders)
    manifest = class_folders / "set.csv"
    rows = [f"{web.address}/white/255.png,white", "black/0.png,black", f"{web.address}/absent.png,black"]
    manifest.write_text("path,label\n" + "\n".join(rows))
    assert main(["predict", "tiny", str(manifest), "--repository", str(repository), "--json"]) == 1
    web.close()
    said = capsys.readouterr()
    first, second, third = (json.loads(line) for line in said.out.splitlines())
    assert first["file"] == f"{web.address}/white/255.png"
    assert [found["predictions"][0]["classes"][0]["label"] for found in (first, second)] == ["white", "black"]
    assert third["error"] == "can't be fetched: the server answered 404"
    assert said.err.splitlines()[1] == "accuracy 100.00%: 2 right of 2 with a label"


def test_a_wrong_manifest_is_a_wrong_use(repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "set.csv").write_text("file\n1.png\n")
    assert main(["predict", "tiny", str(tmp_path / "set.csv"), "--repository", str(repository)]) == 2
    assert "its first line names the columns" in capsys.readouterr().err


def test_more_images_than_the_queue_has_places_are_all_answered(
    repository: Path, class_folders: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONVSERVE_MAX_QUEUE_ROWS", "2")
    main(["predict", "tiny", *[str(class_folders)] * 20, "--repository", str(repository), "--json"])
    assert capsys.readouterr().err.startswith("140 images, 20 failed, ")


def test_the_queue_of_one_model_may_be_the_shortest(repository: Path) -> None:
    tables = {"tiny": ModelSettings(max_queue_rows=3), "other": ModelSettings(timeout_ms=5)}
    app = create_app(Settings(repository=repository, model=tables))
    with_table = OwnService(httpx2.AsyncClient(), app.state.services)
    assert with_table.at_once == 3


COUNTS = tuple(f"convserve_{what}_total" for what in ("requests", "rejections", "predictions"))
SAMPLES: dict[str, tuple[str, bytes, dict[str, int]]] = {
    "an image": ("tiny", gray_image(200), {}),
    "options": ("tiny", gray_image(200), {"top_k": 1}),
    "a wrong option": ("tiny", gray_image(200), {"top_k": 9}),
    "no image": ("tiny", b"no image", {}),
    "an empty file": ("tiny", b"", {}),
    "no model": ("absent", gray_image(200), {}),
    "an alias": ("small", gray_image(200), {}),
    "a cascade": ("both", gray_image(100), {}),
}


@pytest.mark.parametrize("sample", SAMPLES)
def test_the_own_way_and_http_give_the_same_answers_and_counts(sample: str, tmp_path: Path) -> None:
    """Two apps over the same models: one is asked by HTTP, one by admission."""
    repository = tmp_path / "repository"
    make_artifact(repository)
    make_artifact(repository, name="second")
    aliases: dict[str, Any] = {"small": "tiny", "both": {"first": "tiny", "then": "second", "when": "p < 1"}}
    model, image, options = SAMPLES[sample]

    async def ask(make: Callable[[httpx2.AsyncClient, Any], Service]) -> tuple[Any, list[str]]:
        app = create_app(Settings(repository=repository, poll_s=0, aliases=aliases))
        async with app.router.lifespan_context(app):
            await app.state.services.catalog.wait_until_tried()
            transport = httpx2.ASGITransport(app)
            async with httpx2.AsyncClient(transport=transport, base_url="http://convserve") as client:
                try:
                    answer: Any = await make(client, app.state.services).predict(model, image, options)
                    answer.pop("timing")
                except RequestFailed as error:
                    answer = str(error)
                counted = (await client.get("/metrics")).text
        return answer, {
            line.rpartition(" ")[0]: line.rpartition(" ")[2]
            for line in counted.splitlines()
            if line.startswith(
                ("convserve_requests_total", "convserve_rejections_total", "convserve_predictions_total")
            )
        }

    own = asyncio.run(ask(OwnService))
    http = asyncio.run(ask(lambda client, _: Service(client)))
    assert own == http
