"""GET /docs: the OpenAPI document as people read it."""

import re
from html import escape

from fastapi.testclient import TestClient

from app.http.openapi import TAGS
from app.http.pages.docs import render_inline, render_markdown


def test_markdown_is_rendered_and_everything_else_escaped() -> None:
    assert render_inline("`a<b` is **not** <b>") == "<code>a&lt;b</code> is <strong>not</strong> &lt;b&gt;"
    assert render_markdown("one\ntwo\n\nthree") == "<p>one two</p><p>three</p>"


def test_the_page_names_operations_and_shows_examples_of_answers(client: TestClient) -> None:
    page = client.get("/docs").text
    assert "Classify one image or several" in page
    assert "Predict With Model" not in page
    assert "<code>application/problem+json</code>" in page
    assert "&quot;batch_size&quot;: 1" in page


def test_its_groups_have_headings_for_people_the_services_own_first(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    operations = [operation for methods in document["paths"].values() for operation in methods.values()]
    used = {tag for operation in operations for tag in operation["tags"]}
    assert used == {tag["name"] for tag in document["tags"]} == TAGS.keys() - {"vertex"}
    headings = re.findall("<h2>(.*?)</h2>", client.get("/docs").text)
    assert headings == [escape(title) for tag, title in TAGS.items() if tag in used]


def test_a_description_of_one_sentence_is_not_said_twice(client: TestClient) -> None:
    assert client.get("/docs").text.count("Classify one image or several") == 1


def test_every_parameter_and_body_is_described(client: TestClient) -> None:
    nothing_said = re.findall(r"<dt><code>([^<]*)</code></dt><dd></dd>", client.get("/docs").text)
    assert [name for name in nothing_said if not name.startswith("200")] == []
