from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.admission.keys import hash_key
from artifact.figures.robustness import Corrupted, Robustness
from tests.makers.artifacts import gray_image, sign


def test_golden_images_are_listed_and_served_byte_for_byte(client: TestClient) -> None:
    assert client.get("/models/tiny/golden").json() == {"files": ["0.png", "200.png", "70.png"]}
    assert client.get("/models/tiny/golden/70.png").content == gray_image(70, size=16)


@pytest.mark.parametrize("path", ["/models/tiny/golden", "/models/tiny/golden/70.png", "/models/absent/golden"])
def test_golden_images_need_a_key_where_predictions_do(repository: Path, open_client: Any, path: str) -> None:
    client = open_client(repository=repository, api_keys=[hash_key("cs-right")])
    for headers in ({}, {"Authorization": "Bearer cs-wrong"}):
        response = client.get(path, headers=headers)
        assert (response.status_code, response.json()["code"]) == (401, "unauthorized")
    right = client.get(path, headers={"Authorization": "Bearer cs-right"})
    assert right.status_code == (404 if "absent" in path else 200)
    assert client.get("/models/tiny/report").status_code == 200


def test_golden_images_can_be_hidden(repository: Path, open_client: Any) -> None:
    client = open_client(repository=repository, show_golden=False)
    for path in ("/models/tiny/golden", "/models/tiny/golden/70.png"):
        response = client.get(path)
        assert response.status_code == 404
        assert "show_golden" in response.json()["detail"]


def test_only_files_of_the_folder_can_be_asked_for(client: TestClient) -> None:
    for file in ("expected.npz", "..%2Fcard.json", "%2e%2e/card.json", "absent.png"):
        response = client.get(f"/models/tiny/golden/{file}")
        assert (response.status_code, response.json()["code"]) == (404, "unknown_path")


def test_a_model_without_a_report_lists_none(client: TestClient) -> None:
    assert client.get("/models/tiny/report").json() == {"files": []}
    assert client.get("/models/tiny/report/confusion.png").status_code == 404


def test_the_card_page_shows_the_report_where_there_is_one(repository: Path, open_client: Any) -> None:
    report = repository / "tiny" / "1" / "report"
    report.mkdir()
    (report / "curves.png").write_bytes(gray_image(1))
    (report / "metrics.json").write_text(
        '{"classes": [{"label": "<b>", "images": 1234, "recall": 0.5, "precision": null}]}'
    )
    client = open_client(repository=repository)
    page = client.get("/models/tiny/card", headers={"Accept": "text/html"}).text
    assert '<img src="report/curves.png?version=1"' in page
    assert "confusion.png" not in page
    assert '<th scope="row">&lt;b&gt;</th><td>1,234</td><td>50 % (47 to 53 %)</td><td>-</td>' in page
    assert client.get("/models/tiny/report/curves.png?version=1").content == gray_image(1)


def test_the_card_page_shows_damaged_images_where_they_were_measured(repository: Path, open_client: Any) -> None:
    assert "Damaged images" not in read_page(open_client(repository=repository))
    row = Corrupted(corruption="jpeg", strength=1, amount="<quality 50>", top1=0.5, ece=0.125)
    measured = Robustness(dataset="<grays>", images=100, top1=0.9, ece=0.05, corrupted=(row,))
    folder = repository / "tiny" / "1"
    (folder / "report").mkdir()
    (folder / "report" / "robustness.png").write_bytes(gray_image(1))
    sign(folder, robustness=measured)
    client = open_client(repository=repository)
    assert client.get("/models/tiny").json()["versions"][0]["card"]["robustness"]["corrupted"][0]["top1"] == 0.5
    page = read_page(client)
    assert "100 images of &lt;grays&gt;" in page
    assert '<th scope="row">jpeg</th><td>&lt;quality 50&gt;</td><td>50 % (40 to 60 %)</td>' in page
    assert '<img src="report/robustness.png?version=1"' in page
    assert "never tried on damaged images" not in page


def read_page(client: TestClient) -> str:
    return client.get("/models/tiny/card", headers={"Accept": "text/html"}).text


def test_a_damaged_report_does_not_break_the_card(repository: Path, open_client: Any) -> None:
    (repository / "tiny" / "1" / "report").mkdir()
    (repository / "tiny" / "1" / "report" / "metrics.json").write_text("[]")
    page = open_client(repository=repository).get("/models/tiny/card", headers={"Accept": "text/html"})
    assert page.status_code == 200
    assert "Class by class" not in page.text
