"""GET /docs: every address, its parameters, bodies and answers, as one page made from /openapi.json. No script and no
outside address: FastAPI's own page loads both from elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from html import escape
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse

from app.http.pages.static import PAGE_HEADERS

router = APIRouter(include_in_schema=False)

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>convserve {version}: every address</title>
<link rel="icon" href="{root}/web/icon.svg"><link rel="stylesheet" href="{root}/web/style.css"></head>
<body><main class="card"><p><a href="{root}/">convserve</a> · <a href="{root}/openapi.json">openapi.json</a></p>
<h1>Every address</h1>
<p>{description}</p>
{sections}</main></body></html>"""


@router.get("/docs")
async def show_docs(request: Request) -> HTMLResponse:
    root = request.scope.get("root_path", "").rstrip("/")
    return HTMLResponse(render_docs(request.app.openapi(), root), headers=PAGE_HEADERS)


def render_docs(document: dict[str, Any], root: str = "") -> str:
    """The page of one OpenAPI document. `root` is the path that a proxy put in front."""
    operations = [
        (path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    tags = dict.fromkeys(tag for _, _, operation in operations for tag in operation.get("tags", ["other"]))
    sections = []
    for tag in tags:
        sections.append(f"<h2>{escape(tag)}</h2>")
        sections += [
            "".join(_render(path, method, operation))
            for path, method, operation in operations
            if tag in operation.get("tags", ["other"])
        ]
    return _PAGE.format(
        version=escape(document["info"]["version"]),
        description=escape(document["info"].get("description", "")),
        root=escape(root),
        sections="\n".join(sections),
    )


def _render(path: str, method: str, operation: dict[str, Any]) -> Iterator[str]:
    title = f"<code>{method.upper()} {escape(path)}</code> {escape(operation.get('summary', ''))}"
    yield f"<details><summary>{title}</summary>"
    yield f"<p>{escape(operation.get('description', ''))}</p>"
    parameters = [
        (f"{p['name']} ({p['in']})", p.get("description") or p["schema"].get("description", ""))
        for p in operation.get("parameters", [])
    ]
    yield from _list("Parameters", parameters)
    body = operation.get("requestBody", {}).get("content", {})
    yield from _list("Body", [(kind, _example(content)) for kind, content in body.items()])
    answers = [
        (f"{status} {kind}".strip(), answer.get("description", ""))
        for status, answer in operation["responses"].items()
        for kind in list(answer.get("content", {})) or [""]
    ]
    yield from _list("Answers", answers)
    yield "</details>"


def _list(title: str, rows: list[tuple[str, str]]) -> Iterator[str]:
    if rows:
        lines = "".join(f"<dt><code>{escape(name)}</code></dt><dd>{escape(text)}</dd>" for name, text in rows)
        yield f"<h3>{title}</h3><dl>{lines}</dl>"


def _example(content: dict[str, Any]) -> str:
    return json.dumps(content["example"]) if "example" in content else content.get("schema", {}).get("description", "")
