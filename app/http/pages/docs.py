"""GET /docs: every address, its parameters, bodies and answers, as one page made from /openapi.json. No script and no
outside address: FastAPI's own page loads both from elsewhere.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html import escape
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse

from app.http.pages.static import PAGE_HEADERS

_CODE, _BOLD = re.compile(r"`([^`]+)`"), re.compile(r"\*\*([^*]+)\*\*")
# FastAPI's, where a route has none of its own.
_NO_WORDS = "Successful Response"

router = APIRouter(include_in_schema=False)

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>convserve {version}: every address</title>
<link rel="icon" href="{root}/web/icon.svg"><link rel="stylesheet" href="{root}/web/style.css"></head>
<body><main class="card"><p><a href="{root}/">convserve</a> · <a href="{root}/openapi.json">openapi.json</a></p>
<h1>Every address</h1>
{description}
{sections}</main></body></html>"""


@router.get("/docs")
async def show_docs(request: Request) -> HTMLResponse:
    root = request.scope.get("root_path", "").rstrip("/")
    return HTMLResponse(render_docs(request.app.openapi(), root), headers=PAGE_HEADERS)


def render_docs(document: dict[str, Any], root: str) -> str:
    """The page of one OpenAPI document. `root` is the path that a proxy put in front."""
    operations = [
        (path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    sections = []
    for tag in document["tags"]:
        found = [operation for operation in operations if tag["name"] in operation[2]["tags"]]
        parts = "\n".join("".join(_render(*operation)) for operation in found)
        sections.append(f"<section><h2>{escape(tag['description'])}</h2>\n{parts}</section>")
    return _PAGE.format(
        version=escape(document["info"]["version"]),
        description=render_markdown(document["info"].get("description", "")),
        root=escape(root),
        sections="\n".join(sections),
    )


def _render(path: str, method: str, operation: dict[str, Any]) -> Iterator[str]:
    address = escape(path).replace("/", "/<wbr>")
    title = f"<code><b>{method.upper()}</b> {address}</code> <span>{render_inline(operation['summary'])}</span>"
    yield f'<details class="operation"><summary>{title}</summary>'
    if operation["description"].rstrip(".") != operation["summary"]:
        yield render_markdown(operation["description"])
    parameters = [
        (f"{p['name']} ({p['in']})", render_inline(p.get("description") or p["schema"].get("description", "")))
        for p in operation.get("parameters", [])
    ]
    yield from _list("Parameters", parameters)
    body = operation.get("requestBody", {}).get("content", {})
    yield from _list("Body", [(kind, _describe_content(content)) for kind, content in body.items()])
    answers = [
        (f"{status} {kind}".strip(), _describe_answer(status, answer, content))
        for status, answer in operation["responses"].items()
        for kind, content in answer.get("content", {"": {}}).items()
    ]
    yield from _list("Answers", answers)
    yield "</details>"


def _list(title: str, rows: list[tuple[str, str]]) -> Iterator[str]:
    """`rows`: names as text, what they mean as HTML."""
    if rows:
        lines = "".join(f"<dt><code>{escape(name)}</code></dt><dd>{meaning}</dd>" for name, meaning in rows)
        yield f"<h3>{title}</h3><dl>{lines}</dl>"


def _describe_answer(status: str, answer: dict[str, Any], content: dict[str, Any]) -> str:
    """In words, with the example where it succeeds: errors all have one form."""
    words = render_inline(answer.get("description", "").replace(_NO_WORDS, ""))
    return words if int(status) >= 400 else words + _example(content)


def _describe_content(content: dict[str, Any]) -> str:
    return _example(content) or render_inline(content.get("schema", {}).get("description", ""))


def _example(content: dict[str, Any]) -> str:
    if "example" not in content:
        return ""
    example = content["example"]
    text = example if isinstance(example, str) else json.dumps(example, indent=1, ensure_ascii=False)
    return f'<pre tabindex="0" aria-label="Example">{escape(text)}</pre>'


def render_markdown(text: str) -> str:
    """Paragraphs with what render_inline knows, as HTML: all of Markdown that the descriptions use."""
    return "".join(f"<p>{render_inline(' '.join(part.split()))}</p>" for part in text.split("\n\n") if part.strip())


def render_inline(text: str) -> str:
    """`code` and **bold**, everything else escaped."""
    return _BOLD.sub(r"<strong>\1</strong>", _CODE.sub(r"<code>\1</code>", escape(text, quote=False)))
