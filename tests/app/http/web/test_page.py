"""A visitor tries the page: an image in, answers, evidence, comparison, trust, errors in words."""

import json
import shlex
import urllib.request
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import axe_core_python
import pytest

from app.admission.keys import hash_key
from artifact.figures.interval import describe_interval
from tests.makers.artifacts import gray_image
from tests.makers.browser_page import Page
from tests.makers.pooled import make_pooled_artifact, square_image
from tests.makers.running_server import RunningServer

WHITE = gray_image(255)
RED = square_image("red", (8, 8, 40, 40), size=(96, 64))


def test_a_dropped_image_is_answered(page: Page) -> None:
    page.drop(WHITE)
    assert page.wait_for_classes(5)[0] == "white"
    assert page.find("#preview").is_displayed()
    assert page.complaints() == []


def test_no_request_leaves_the_origin(page: Page) -> None:
    page.drop(WHITE)
    page.wait_for_classes()
    page.find("#evidence").click()
    page.wait_for_text(".looked figcaption", "Evidence for")
    asked = page.requests()
    assert len(asked) > 10
    assert [address for address in asked if not address.startswith(page.address)] == []


def test_a_sample_is_one_click_away(page: Page) -> None:
    page.wait(lambda: page.all("#samples button"))[0].click()
    assert page.wait_for_classes()[0] == "black"


def test_the_page_shows_live_accuracy_beside_the_cards(browser: Any, repository: Path, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("k" * 32)
    server = RunningServer("--repository", str(repository), "--receipt-key", str(tmp_path / "key"))
    address = f"http://127.0.0.1:{server.port}"
    try:
        image = urllib.request.Request(f"{address}/predict/levels?receipt=1", WHITE, {"Content-Type": "image/png"})
        with urllib.request.urlopen(image) as answer:
            receipt = json.load(answer)["predictions"][0]["receipt"]
        told = json.dumps([{"receipt": receipt, "label": label} for label in ("white", "black")]).encode()
        urllib.request.urlopen(f"{address}/feedback", told).close()
        page = Page(browser, f"{address}/").open("levels")
        page.wait_for_text(".card-summary dl", "50 % (9 to 91 %) right of 2 images")
        assert page.complaints() == []
    finally:
        server.end()


def test_the_page_offers_cascades_and_says_who_of_the_two_answered(browser: Any, repository: Path) -> None:
    both = {"first": "levels", "then": "measured", "when": "p < 0.9"}
    server = RunningServer("--repository", str(repository), "--aliases", json.dumps({"both": both, "other": "levels"}))
    try:
        page = Page(browser, f"http://127.0.0.1:{server.port}/").open("both")
        assert page.texts(".panel .model option") == ["levels", "measured", "pooled", "both"]
        page.drop(WHITE)
        page.wait_for_text(".panel .status", "Answered by levels version 1.")
        page.drop(gray_image(90))
        page.wait_for_text(".panel .status", "Answered by measured version 1.")
        page.find("#evidence").click()
        page.wait_for_text(".looked figcaption", "Evidence for dark")
        assert page.complaints() == []
    finally:
        server.end()


def test_before_there_is_an_image_the_page_shows_what_the_model_can_answer(page: Page) -> None:
    assert "one of its 5 labels" in page.wait_for_text(".empty h3", "Give it an image")
    assert page.texts(".empty li") == ["black", "dark", "gray", "bright", "white"]
    page.wait_for_text("#samples-title", "Samples of levels")
    assert page.find(".card-summary dl").is_displayed()
    page.drop(WHITE)
    page.wait_for_classes()
    assert not page.find(".empty").is_displayed()
    assert not page.find(".card-summary dl").is_displayed()


def test_several_images_are_answered_together_and_each_can_be_looked_at(page: Page, tmp_path: Path) -> None:
    files = {"white.png": WHITE, "notes.txt": b"no image", "dark.png": gray_image(64)}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    page.find("#file").send_keys("\n".join(str(tmp_path / name) for name in files))
    assert page.wait_for_classes()[0] == "white"
    page.wait(lambda: "…" not in page.texts(".strip .caption"))
    first, second, third = page.texts(".strip .caption")
    assert (first.split(",")[0], second, third.split(",")[0]) == ("white", "no answer", "dark")
    assert page.find("#strip-title").text == "Your 3 images"
    assert "not an image of a supported type" in page.all(".strip button")[1].get_attribute("title")
    page.all(".strip button")[2].click()
    page.wait(lambda: page.texts(".classes .name")[:1] == ["dark"])
    assert [button.get_attribute("aria-pressed") for button in page.all(".strip button")] == ["false", "false", "true"]
    page.all("#samples button")[0].click()
    assert not page.find("#strip").is_displayed()


def test_a_label_set_that_no_model_can_give_is_not_offered_and_the_reason_is_said(page: Page) -> None:
    page.wait_for_text("#coverage-reason", "levels gives no label sets")
    assert not page.find("#coverage").is_enabled()
    page.choose(".panel .model", "measured")
    page.wait(lambda: page.find("#coverage").is_enabled())
    assert not page.find("#coverage-reason").is_displayed()
    page.open("measured", "levels")
    page.wait(lambda: page.find("#coverage").is_enabled())
    page.choose("#coverage", "0.95")
    page.drop(WHITE)
    page.wait_for_text(".set", "levels gives no label sets")


def test_shares_have_the_interval_that_the_card_has(page: Page) -> None:
    cases = [(0.48, 300), (0.9912, 10_000), (0.99996, 50_000), (0.0, 1), (1.0, 360), (0.5, 2)]
    script = """const [cases, done] = arguments;
    import(new URL("web/format.js", document.baseURI))
      .then(({ share }) => done(cases.map((each) => share(...each))));"""
    assert page.browser.execute_async_script(script, cases) == [describe_interval(*case) for case in cases]


def test_how_often_it_was_right_is_said_only_of_enough_images(page: Page) -> None:
    script = """const [images, done] = arguments;
    const bin = { from: 0, accuracy: 0.5, share: images / 100 };
    const metrics = { reliability: [bin], evaluation: { images: 100 } };
    import(new URL("web/trust.js", document.baseURI))
      .then(({ describeReliability }) => done(describeReliability(0.01, metrics)));"""
    few, enough = (page.browser.execute_async_script(script, images) for images in (1, 40))
    assert few == "Only 1 of 100 test images was this sure (0 to 7 %): too few to say how often it is right then."
    assert "it was right 50 % (35 to 65 %) of the time, on 40 of 100 test images" in enough


def test_the_list_of_models_is_a_page_for_people(page: Page) -> None:
    page.find("nav a").click()
    assert page.texts("h2") == ["levels", "measured", "pooled"]
    page.find("section a").click()
    page.wait_for_text(".panel .about", "accuracy unproven")
    assert page.browser.current_url.endswith("#levels")


def test_a_chosen_file_is_answered(page: Page, tmp_path: Path) -> None:
    (tmp_path / "white.png").write_bytes(WHITE)
    page.find("#file").send_keys(str(tmp_path / "white.png"))
    assert page.wait_for_classes()[0] == "white"


def test_a_drawing_is_answered(page: Page) -> None:
    page.find("#modes label:nth-of-type(2)").click()
    page.draw_stroke()
    assert page.wait_for_classes()[0] == "white"  # a stroke on a white pad


def test_arrow_keys_draw_too(page: Page) -> None:
    page.find("#modes label:nth-of-type(2)").click()
    page.find("#pad").send_keys("\ue015\ue015")
    assert page.wait_for_classes()


def test_the_evidence_can_be_shown_hidden_and_made_stronger(page: Page) -> None:
    page.open("pooled")
    page.drop(RED)
    page.wait_for_classes()
    page.find("#evidence").click()
    assert page.wait_for_text(".looked figcaption", "Evidence for") == "Evidence for red (class activation map)"
    frame = page.find(".frame")
    assert frame.is_displayed()
    assert page.find(".legend").is_displayed()
    assert not page.find(".cell").is_displayed()
    before = page.find(".frame canvas").value_of_css_property("opacity")
    page.find("#strength").send_keys("\ue014" * 3)
    assert float(page.find(".frame canvas").value_of_css_property("opacity")) > float(before)
    page.find("#evidence").click()
    page.wait(lambda: not frame.is_displayed())
    assert page.complaints() == []


def test_evidence_that_is_asked_for_while_an_answer_is_on_its_way_leaves_it_coming(page: Page) -> None:
    page.open("measured")
    page.drop(WHITE)
    page.wait_for_classes()
    page.browser.execute_script(
        "const coverage = document.querySelector('#coverage'); coverage.value = '0.95';"
        "coverage.dispatchEvent(new Event('change')); document.querySelector('#evidence').click();"
    )
    assert page.wait_for_text(".set", "Right 95 times in 100")
    page.wait_for_text(".looked figcaption", "Evidence for")
    assert page.find(".frame").is_displayed()
    assert "Looking…" not in page.texts(".panel .status")


def test_a_map_of_a_single_cell_is_said_to_be_one(browser: Any, tmp_path: Path) -> None:
    make_pooled_artifact(tmp_path, cells=1)
    server = RunningServer("--repository", str(tmp_path))
    try:
        page = Page(browser, f"http://127.0.0.1:{server.port}/").open("pooled")
        page.drop(RED)
        page.wait_for_classes()
        page.find("#evidence").click()
        page.wait_for_text(".cell", "single cell: it says how much, not where")
    finally:
        server.end()


def test_pressing_a_class_shows_its_evidence(page: Page) -> None:
    page.drop(WHITE)
    page.wait_for_classes()
    page.all(".classes button")[1].click()
    assert page.wait_for_text(".looked figcaption", "Evidence for") == "Evidence for bright (occlusion sensitivity)"
    assert page.find("#evidence").is_selected()


def test_models_are_compared_side_by_side_three_at_most(page: Page) -> None:
    page.drop(RED)
    page.wait_for_classes()
    page.find("#compare").click()
    page.find("#compare").click()
    page.wait_for_classes(12)
    assert [panel.get_attribute("aria-label") for panel in page.panels()] == [
        "Answer of levels",
        "Answer of measured",
        "Answer of pooled",
    ]
    assert not page.find("#compare").is_enabled()
    assert page.browser.current_url.endswith("#levels,measured,pooled")
    page.all(".remove")[1].click()
    assert page.browser.current_url.endswith("#levels,pooled")
    assert page.complaints() == []


def test_how_far_to_trust_the_answer_is_said(page: Page) -> None:
    page.open("measured")
    page.wait_for_text(".about", "90 % (79 to 96 %) right on 50 images of levels")
    page.choose("#coverage", "0.95")
    page.drop(WHITE)
    assert page.wait_for_text(".set", "white") == "Right 95 times in 100: white."
    assert "looks unlike those that measured was trained on" in page.find(".warning").text
    assert "never measured" in page.find(".trust").text  # this card has no report


def test_the_time_of_each_stage_and_the_request_to_copy_are_shown(page: Page) -> None:
    page.drop(WHITE, "it's.png")
    page.wait_for_classes()
    assert page.texts(".waterfall th") == ["decode", "queue", "network", "HTTP", "transfer", "total"]
    page.find(".calls summary").click()
    curl, python = page.texts(".call pre")
    assert curl == (
        f"curl -H 'Content-Type: application/octet-stream' --data-binary @'it'\\''s.png' '{page.address}predict/levels'"
    )
    assert 'open("it\'s.png", "rb")' in python


@pytest.fixture
def guarded(page: Page, repository: Path) -> Iterator[Page]:
    """The page of a service that asks for a key."""
    server = RunningServer("--repository", str(repository), "--api-keys", hash_key("cs-right"))
    yield Page(page.browser, f"http://127.0.0.1:{server.port}/").open("levels")
    server.end()


def type_key(page: Page, key: str) -> None:
    page.find("#key").clear()
    page.find("#key").send_keys(key, "\ue007")


def test_a_missing_key_points_at_the_field_and_samples_come_with_it(guarded: Page) -> None:
    guarded.wait(lambda: guarded.find("#key").is_displayed())
    assert not guarded.find("#samples").is_displayed()
    guarded.drop(WHITE)
    guarded.wait_for_text(".panel .status.bad", "type yours into “API key”")
    assert guarded.browser.switch_to.active_element == guarded.find("#key")
    for wrong in ("cs-wrong", "ключ"):
        type_key(guarded, wrong)
        guarded.wait_for_text(".panel .status.bad", "This API key is not valid")
    type_key(guarded, "cs-right")
    assert guarded.wait_for_classes()[0] == "white"
    guarded.wait(lambda: guarded.all("#samples button"))[0].click()
    guarded.wait(lambda: guarded.texts(".classes .name")[:1] == ["black"])


def test_the_request_to_copy_carries_the_key(guarded: Page) -> None:
    guarded.wait(lambda: guarded.find("#key").is_displayed())
    type_key(guarded, "cs-right")
    guarded.drop(WHITE)
    guarded.wait_for_classes()
    guarded.find(".calls summary").click()
    curl, python = guarded.texts(".call pre")
    assert '"Authorization": "Bearer cs-right"' in python
    words = shlex.split(curl)
    headers = dict(value.split(": ") for flag, value in pairwise(words) if flag == "-H")
    assert headers["Authorization"] == "Bearer cs-right"
    with urllib.request.urlopen(urllib.request.Request(words[-1], WHITE, headers), timeout=60) as answer:
        assert json.load(answer)["predictions"][0]["classes"][0]["label"] == "white"


def test_a_service_that_hides_its_golden_images_shows_no_samples(page: Page, repository: Path) -> None:
    server = RunningServer("--repository", str(repository), "--no-show-golden")
    own = Page(page.browser, f"http://127.0.0.1:{server.port}/").open("levels")
    own.drop(WHITE)
    assert own.wait_for_classes()[0] == "white"
    assert not own.find("#samples").is_displayed()
    server.end()


def test_an_error_is_shown_in_words_and_the_page_goes_on(page: Page) -> None:
    page.drop(b"no image at all", "notes.txt")
    assert "not an image of a supported type" in page.wait(lambda: page.find(".panel .status.bad").text)
    page.drop(WHITE)
    assert page.wait_for_classes()[0] == "white"


def test_an_image_over_the_limit_is_refused_in_words(page: Page) -> None:
    page.drop(bytes(11_000_000))
    assert "10,000,000" in page.wait_for_text(".panel .status", "limit")


def test_dropping_what_is_no_file_is_said_in_words(page: Page) -> None:
    page.drop_nothing()
    page.wait_for_text("#service", "no image file")


def test_a_server_that_went_away_is_said_in_words_and_found_again(page: Page, repository: Path) -> None:
    flags = ("--repository", str(repository))
    first = RunningServer(*flags)
    own = Page(page.browser, f"http://127.0.0.1:{first.port}/").open("levels")
    assert first.stop() == 0
    own.drop(WHITE)
    own.wait_for_text(".panel .status", "can't be reached")
    second = RunningServer(*flags, port=first.port)
    own.drop(WHITE)
    assert own.wait_for_classes()[0] == "white"
    second.end()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_axe_finds_nothing_serious(page: Page, scheme: str, width: int) -> None:
    devices = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    page.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", devices)
    page.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    try:
        page.open("measured", "pooled")
        page.choose("#coverage", "0.95")
        page.drop(RED)
        page.wait_for_classes(7)
        page.find("#evidence").click()
        page.wait_for_text(".looked figcaption", "Evidence for red")
        for summary in page.all("summary"):
            summary.click()
        assert run_axe(page) == []
        for path in ("models/measured/card", "models", "docs"):
            page.browser.get(f"{page.address}{path}")
            assert run_axe(page) == []
            wide = page.browser.execute_script("return document.documentElement.scrollWidth - innerWidth")
            assert wide <= 0, f"{path} scrolls sideways"
    finally:
        page.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        page.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def run_axe(page: Page) -> list[str]:
    """Serious and critical findings of axe, each with the elements that it means."""
    page.browser.execute_script((Path(axe_core_python.__file__).parent / "axe.min.js").read_text())
    found = page.browser.execute_async_script("axe.run().then(arguments[0])")["violations"]
    return [
        f"{finding['id']}: {[node['target'] for node in finding['nodes']]}"
        for finding in found
        if finding["impact"] in ("serious", "critical")
    ]
