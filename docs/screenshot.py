"""Makes docs/page.png, the README's picture: the page of a running service in headless Chromium.

convserve serve --repository repository &
python docs/screenshot.py --models lenet5-digits --image digit.png
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

LOADED = "[...document.querySelectorAll('.answer img, .samples img')].every((image) => image.complete)"
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars", "--disable-sync")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:8000", help="default: %(default)s")
    parser.add_argument("--models", default="", metavar="NAME,...", help="one to three (default: the first)")
    parser.add_argument("--image", type=Path, default=Path("digit.png"), help="default: %(default)s")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "page.png", help="default: %(default)s")
    parser.add_argument("--size", default="1280x800", metavar="WxH", help="default: %(default)s")
    given = parser.parse_args()
    chromium = shutil.which("chromium")
    if chromium is None:
        parser.error("chromium is not installed (Debian: apt-get install chromium-driver)")
    with tempfile.TemporaryDirectory() as profile:
        options = webdriver.ChromeOptions()
        options.binary_location = chromium
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
        try:
            take(browser, f"{given.url}/#{given.models}", given.image, given.out, *map(int, given.size.split("x")))
        finally:
            browser.quit()
    print(f"wrote {given.out}")


def take(browser: webdriver.Chrome, address: str, image: Path, out: Path, width: int, height: int) -> None:
    """Open the page, give it the image, turn on the evidence, and save what a visitor then sees."""
    wait = WebDriverWait(browser, 30, poll_frequency=0.05)

    def texts(selector: str) -> list[str]:
        return [found.text for found in browser.find_elements(By.CSS_SELECTOR, selector)]

    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get(address)
    wait.until(lambda _: texts(".about") and all(texts(".about")))
    browser.find_element(By.ID, "file").send_keys(str(image.resolve()))
    wait.until(lambda _: all(panel.find_elements(By.CSS_SELECTOR, ".classes li") for panel in panels(browser)))
    browser.find_element(By.ID, "evidence").click()
    wait.until(lambda _: all(text.startswith("Evidence") for text in texts(".looked figcaption")))
    wait.until(lambda _: browser.execute_script(f"return {LOADED}"))
    browser.save_screenshot(str(out))


def panels(browser: webdriver.Chrome) -> list[webdriver.remote.webelement.WebElement]:
    return browser.find_elements(By.CLASS_NAME, "panel")


if __name__ == "__main__":
    main()
