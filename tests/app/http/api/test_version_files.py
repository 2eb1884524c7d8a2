from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient

from tests.makers.artifacts import gray_image


def test_golden_images_are_listed_and_served_byte_for_byte(client: TestClient) -> None:
    assert client.get("/models/tiny/golden").json() == {"files": ["0.png", "200.png", "70.png"]}
    assert client.get("/models/tiny/golden/70.png").content == gray_image(70, size=16)


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
    assert '<th scope="row">&lt;b&gt;</th><td>1,234</td><td>50.0%</td><td>-</td>' in page
    assert client.get("/models/tiny/report/curves.png?version=1").content == gray_image(1)


def test_a_damaged_report_does_not_break_the_card(repository: Path, open_client: Any) -> None:
    (repository / "tiny" / "1" / "report").mkdir()
    (repository / "tiny" / "1" / "report" / "metrics.json").write_text("[]")
    page = open_client(repository=repository).get("/models/tiny/card", headers={"Accept": "text/html"})
    assert page.status_code == 200
    assert "Class by class" not in page.text
