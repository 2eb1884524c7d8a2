from collections.abc import Callable
from pathlib import Path

from fastapi.testclient import TestClient

from artifact.card import ModelCard
from tests.makers.artifacts import make_artifact


def test_models_lists_what_is_loaded_and_what_was_refused_and_why(
    repository: Path, open_client: Callable[..., TestClient]
) -> None:
    (repository / "foreign").mkdir()
    (repository / "foreign" / "net.onnx").write_bytes(b"x")
    foreign, tiny = open_client(repository=repository).get("/models").json()["models"]
    assert (foreign["name"], foreign["state"], foreign["versions"]) == ("foreign", "refused", [])
    assert f"convserve-export adopt {repository}/foreign/net.onnx" in foreign["reason"]
    (version,) = tiny["versions"]
    assert (tiny["state"], version["version"], version["device"]) == ("loaded", 1, "cpu")
    assert version["input"] == {"height": 8, "width": 8, "channels": 1}
    assert list(version["ms_of_batch"]) == ["1", "2", "4", "8", "16", "32"]


def test_the_list_is_json_for_programs_and_a_page_for_people(
    repository: Path, open_client: Callable[..., TestClient]
) -> None:
    folder = make_artifact(repository, "b-broken")
    (folder / "model.onnx").write_bytes(b"no graph")
    client = open_client(repository=repository, aliases={"best": "tiny"})
    assert {model["name"] for model in client.get("/models").json()["models"]} == {"tiny", "b-broken"}
    page = client.get("/models", headers={"Accept": "text/html,*/*;q=0.8"})
    assert page.headers["Content-Type"].startswith("text/html")
    assert "default-src 'self'" in page.headers["Content-Security-Policy"]
    assert '<a href="models/tiny/card">' in page.text
    assert "model.onnx" in page.text  # why b-broken is refused
    assert '<a href="models/b-broken/card">' not in page.text
    assert "<dt>best</dt>" in page.text


def test_one_model_shows_its_card(client: TestClient) -> None:
    shown = client.get("/models/tiny").json()
    assert ModelCard.model_validate(shown["versions"][0]["card"]).labels[0] == "black"
    assert client.get("/models/other").status_code == 404


def test_the_card_is_json_for_programs_and_a_page_for_people(client: TestClient) -> None:
    ModelCard.model_validate(client.get("/models/tiny/card").json())
    page = client.get("/models/tiny/card", headers={"Accept": "text/html"})
    assert page.headers["Content-Type"].startswith("text/html")
    assert "default-src 'self'" in page.headers["Content-Security-Policy"]


def test_labels_cannot_put_markup_into_the_page(tmp_path: Path, open_client: Callable[..., TestClient]) -> None:
    make_artifact(tmp_path, labels=("<script>alert(1)</script>", "b"))
    page = open_client(repository=tmp_path).get("/models/tiny/card", headers={"Accept": "text/html"})
    assert "<script>" not in page.text
    assert "&lt;script&gt;" in page.text
