"""GET /models as a page to read: what is loaded, loading or refused, and why. The JSON is what programs get."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Any

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>Models</title>
<link rel="icon" href="web/icon.svg"><link rel="stylesheet" href="web/style.css"></head>
<body><main class="card"><p><a href="./">Try them</a> · <a href="docs">API</a></p><h1>Models</h1>
{sections}</main></body></html>"""

_HEAD = ("Version", "State", "Network", "Input", "Labels", "Runs on", "One image")


def render_models(models: list[dict[str, Any]], aliases: dict[str, Any]) -> str:
    """An HTML page of what /models says. Links are relative, for proxies that put a path in front."""
    sections = [_render_model(model) for model in models] or ["<p>There is no model in the repository.</p>"]
    if aliases:
        rows = "".join(f"<dt>{escape(name)}</dt><dd>{_describe_alias(to)}</dd>" for name, to in aliases.items())
        sections.append(f"<section><h2>Aliases</h2><dl>{rows}</dl></section>")
    return _PAGE.format(sections="\n".join(sections))


def _render_model(model: dict[str, Any]) -> str:
    name = escape(model["name"])
    links = f' <a href="./#{name}">Try it</a> · <a href="models/{name}/card">Card</a>' if _is_served(model) else ""
    state = escape(model["state"].capitalize())
    return f"<section><h2>{name}</h2><p>{state}.{links}</p>{''.join(_details(model))}</section>"


def _is_served(model: dict[str, Any]) -> bool:
    return any(version["state"] == "loaded" for version in model["versions"])


def _details(model: dict[str, Any]) -> Iterator[str]:
    reasons = {model.get("reason"): None, **{version.get("reason"): None for version in model["versions"]}}
    yield from (f'<p class="status bad">{escape(reason)}</p>' for reason in reasons if reason)
    if model["versions"]:
        head = "".join(f'<th scope="col">{name}</th>' for name in _HEAD)
        rows = "".join(_render_version(version) for version in model["versions"])
        yield (
            f'<div class="scroll" tabindex="0" role="region" aria-label="Versions of {escape(model["name"])}">'
            f'<table class="versions"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
        )


def _render_version(version: dict[str, Any]) -> str:
    cells = [version["state"]]
    if version["state"] == "loaded":
        size = version["input"]
        color = "gray" if size["channels"] == 1 else "RGB"
        cells += [
            f"{version['network']}, {version['precision']}",
            f"{size['width']} x {size['height']} {color}",
            f"{version['classes']:,}",
            version["device"],
            _describe_time(version["ms_of_batch"]["1"]),
        ]
    cells += [""] * (len(_HEAD) - 1 - len(cells))
    return f'<tr><th scope="row">{version["version"]}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in cells)}</tr>'


def _describe_time(ms: float) -> str:
    return f"{ms:.2f} ms" if ms < 1 else f"{ms:,.1f} ms"


def _describe_alias(alias: Any) -> str:
    """A model's name, or what several models are called by: weights, a cascade."""
    return escape(alias if isinstance(alias, str) else ", ".join(f"{name} {value}" for name, value in alias.items()))
