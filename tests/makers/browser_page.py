"""What a person does on the page, and sees there, in the words of the tests."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any, Self, TypeVar

from selenium import webdriver
from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException
from selenium.webdriver import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select, WebDriverWait

T = TypeVar("T")

_DROP = """
const [text, name] = arguments;
const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
const data = new DataTransfer();
if (name) data.items.add(new File([bytes], name));
const event = new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true });
document.querySelector("#drop").dispatchEvent(event);
"""

_TEXTS = "return [...document.querySelectorAll(arguments[0])].map((element) => element.innerText.trim());"


class Page:
    def __init__(self, browser: webdriver.Chrome, address: str) -> None:
        self.browser = browser
        self.address = address

    def open(self, *models: str) -> Self:
        """Open the page with these models side by side, and forget what the browser logged before."""
        self.browser.get("about:blank")
        self.requests(), self.complaints()
        self.browser.get(f"{self.address}#{','.join(models)}")
        self.wait(lambda: len(self.panels()) == len(models))
        return self

    def wait(self, until: Callable[[], T]) -> T:
        """What `until` gives once it is true. The page replaces elements while it is read: then it is read again."""
        waiting = WebDriverWait(self.browser, 20, 0.02, (NoSuchElementException, StaleElementReferenceException))
        return waiting.until(lambda _: until())

    def find(self, selector: str) -> WebElement:
        return self.browser.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector: str) -> list[WebElement]:
        return self.browser.find_elements(By.CSS_SELECTOR, selector)

    def panels(self) -> list[WebElement]:
        return self.all(".panel")

    def texts(self, selector: str) -> list[str]:
        """Of all that match, read in one step: between two the page may have replaced them."""
        return self.browser.execute_script(_TEXTS, selector)

    def drop(self, content: bytes, name: str = "image.png") -> None:
        self.browser.execute_script(_DROP, base64.b64encode(content).decode(), name)

    def drop_nothing(self) -> None:
        self.browser.execute_script(_DROP, "", "")

    def draw_stroke(self) -> None:
        pad = self.find("#pad")
        ActionChains(self.browser).drag_and_drop_by_offset(pad, 40, 60).perform()

    def choose(self, selector: str, value: str) -> None:
        Select(self.find(selector)).select_by_value(value)

    def wait_for_classes(self, count: int = 1) -> list[str]:
        """Labels of the answers, once there are this many."""
        return self.wait(lambda: names if len(names := self.texts(".classes .name")) >= count else None)

    def wait_for_text(self, selector: str, part: str) -> str:
        return self.wait(lambda: next((text for text in self.texts(selector) if part in text), None))

    def complaints(self) -> list[str]:
        """What the console complained of since the last call."""
        return [entry["message"] for entry in self.browser.get_log("browser") if entry["level"] == "SEVERE"]

    def requests(self) -> list[str]:
        """The addresses that were asked over the network since the last call."""
        events: list[dict[str, Any]] = [
            json.loads(entry["message"])["message"] for entry in self.browser.get_log("performance")
        ]
        sent = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
        return [address for address in sent if not address.startswith(("data:", "blob:", "about:"))]
