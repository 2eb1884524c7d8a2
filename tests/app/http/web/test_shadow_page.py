"""A holder of an admin key looks at what a shadow disagrees on."""

import json
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from selenium import webdriver

from app.admission.keys import hash_key
from tests.makers.artifacts import gray_image, make_artifact, make_odd_graph
from tests.makers.browser_page import Page
from tests.makers.running_server import RunningServer
from tests.makers.waiting import wait_until

SHADOW = '[shadows.next]\nof = "tiny"\nrun = "odd"\nkeep_images = true\n'


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    make_artifact(tmp_path / "repository")
    make_artifact(tmp_path / "repository", "odd", graph=make_odd_graph())
    return tmp_path / "repository"


@pytest.fixture
def address(tmp_path: Path, start_server: Callable[..., RunningServer]) -> str:
    """The page of a shadow that disagrees on one image."""
    settings = tmp_path / "settings.toml"
    settings.write_text(SHADOW)
    server = start_server("--settings", str(settings), "--workers", "1", "--admin-keys", hash_key("admin"))
    root = f"http://127.0.0.1:{server.port}"
    image = urllib.request.Request(f"{root}/predict/tiny", gray_image(10), {"Content-Type": "image/png"})
    urllib.request.urlopen(image, timeout=30).close()

    def is_compared() -> bool:
        with urllib.request.urlopen(f"{root}/shadows/next", timeout=30) as answer:
            return bool(json.load(answer)["disagreements"])

    wait_until(is_compared)
    return f"{root}/shadows/next"


def test_an_admin_key_shows_images_and_evidence(browser: webdriver.Chrome, address: str) -> None:
    page = Page(browser, address)
    browser.get(address)

    def show(key: str) -> None:
        page.find("#key").clear()
        page.find("#key").send_keys(key)
        page.find("#key-form button").click()

    show("wrong")
    page.wait(lambda: "this API key is not valid: send one of admin_keys" in page.find("#trouble").text)
    assert page.all("td img:not([hidden])") == []
    show("admin")
    page.wait(lambda: len(page.all("td img:not([hidden])")) == 3)
    assert page.find("#trouble").text == ""
    assert page.find("pre").text.startswith(f"curl -X PUT {address.removesuffix('shadows/next')}aliases/tiny ")
