"""The page in a real browser against a real service. Skipped where no Chromium is installed."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from artifact.figures.evaluation import Distribution, Evaluation, ScoreQuantiles
from tests.makers.artifacts import LABELS, make_artifact
from tests.makers.browser_page import Page
from tests.makers.pooled import make_pooled_artifact
from tests.makers.running_server import RunningServer

CHROMIUM, DRIVER = (shutil.which(name) for name in ("chromium", "chromedriver"))

FLAGS = (
    "--headless=new",
    "--no-sandbox",  # tests may run as root in a container
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--window-size=1280,1000",
)

MEASURED = {
    "evaluation": Evaluation(dataset="levels", split="test", images=50, top1=0.9, top5=1, ece=0.02),
    "score_quantiles": ScoreQuantiles(images=50, coverage=(0.9, 0.95, 0.99), score=(0.3, 0.5, 0.9)),
    # Far above what the network ever says, so that every image is a strange one.
    "distribution": Distribution(images=50, classes=(0.2,) * 5, confidence=(0.1,) * 10, energy=(1e6,) * 9),
}


def fill_repository(folder: Path) -> Path:
    make_artifact(folder, "levels")
    make_artifact(folder, "measured", labels=LABELS, **MEASURED)
    make_pooled_artifact(folder)
    return folder


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """levels and measured have no pooling; measured has figures of trust; pooled has features."""
    return fill_repository(tmp_path_factory.mktemp("repository"))


@pytest.fixture(scope="session")
def server(repository: Path) -> Iterator[RunningServer]:
    running = RunningServer("--repository", str(repository))
    yield running
    running.end()


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("chromium and chromedriver are not installed (Debian: apt-get install chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('browser')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture
def page(browser: webdriver.Chrome, server: RunningServer) -> Page:
    """The page, opened anew, with a model picked."""
    return Page(browser, f"http://127.0.0.1:{server.port}/").open("levels")
