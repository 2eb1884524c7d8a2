"""GET /docs: the OpenAPI document as people read it."""

from fastapi.testclient import TestClient

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
