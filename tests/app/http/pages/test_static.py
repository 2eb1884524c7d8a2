import re

from fastapi.testclient import TestClient

from app.http.pages.static import WEB


def test_the_page_and_its_files_are_served_with_a_policy_that_forbids_other_origins(client: TestClient) -> None:
    page = client.get("/")
    assert page.status_code == 200
    files = re.findall(r'(?:src|href)="(web/[^"]+)"', page.text)
    assert len(files) == 3
    for path in ("", *files):
        response = client.get(f"/{path}")
        assert response.status_code == 200
        assert "default-src 'self'" in response.headers["Content-Security-Policy"]


def test_nothing_in_the_page_names_another_address() -> None:
    for path in WEB.iterdir():
        text = path.read_text().replace('xmlns="http://www.w3.org/2000/svg"', "")  # a name, not an address
        assert not re.search(r"https?://|//[a-z]", text, re.IGNORECASE), path.name


def test_the_whole_page_weighs_less_than_150_kilobytes() -> None:
    assert sum(path.stat().st_size for path in WEB.iterdir()) < 150_000


def test_files_outside_the_web_folder_cannot_be_reached(client: TestClient) -> None:
    for path in ("/web/../main.py", "/web/%2e%2e/main.py", "/web//etc/passwd", "/web/..%2fmain.py"):
        response = client.get(path)
        assert response.status_code == 404
        assert response.json()["code"] == "unknown_path"
