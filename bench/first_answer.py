"""How long a visitor waits: from the drop of an image on the page to the first class that is painted, in Chromium.

convserve serve --repository repository &
python -m bench.first_answer lenet5-digits digit.png
"""

from __future__ import annotations

import argparse
import base64
import shutil
import statistics
import tempfile
from pathlib import Path

from selenium import webdriver

FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync")

# Drops a file, then waits for a bar and for the frame in which it is painted. The old bars go away first.
_DROP_AND_WAIT = """
const [text, done] = arguments;
document.querySelector(".classes").replaceChildren();
const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
const data = new DataTransfer();
data.items.add(new File([bytes], "image"));
new MutationObserver((_, observer) => {
  if (!document.querySelector(".classes li")) return;
  observer.disconnect();
  requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - start)));
}).observe(document.querySelector(".classes"), { childList: true });
const start = performance.now();
document.querySelector("#drop").dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true }));
"""


def measure(url: str, model: str, image: bytes, drops: int) -> list[float]:
    """Milliseconds of each drop, the first on a page just opened."""
    with tempfile.TemporaryDirectory() as profile:
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium") or ""
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
        try:
            browser.set_script_timeout(60)
            browser.implicitly_wait(30)
            browser.get(f"{url}/#{model}")
            browser.find_element("css selector", ".panel")
            encoded = base64.b64encode(image).decode()
            return [browser.execute_async_script(_DROP_AND_WAIT, encoded) for _ in range(drops)]
        finally:
            browser.quit()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("image", type=Path)
    parser.add_argument("--url", default="http://127.0.0.1:8000", help="default: %(default)s")
    parser.add_argument("--drops", type=int, default=20, help="default: %(default)s")
    given = parser.parse_args()
    first, *others = measure(given.url, given.model, given.image.read_bytes(), given.drops)
    print(f"first drop {first:.0f} ms; then median {statistics.median(others):.0f} ms, longest {max(others):.0f} ms")


if __name__ == "__main__":
    main()
