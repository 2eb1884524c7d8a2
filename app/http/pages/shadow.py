"""How a shadow compares with its model, as a page to read: figures, disagreements side by side, and what promotes it.
Everything in it is escaped. Links are relative, so that it works behind a proxy that puts a path in front.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Any

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>{title}: shadow</title>
<link rel="icon" href="../web/icon.svg"><link rel="stylesheet" href="../web/style.css">
<script src="../web/shadow.js" type="module"></script></head>
<body><main class="card"><p><a href="../">convserve</a></p><h1>Shadow {title}</h1>
{sections}</main></body></html>"""
_KEY = """<form id="key-form"><label class="field">Admin key <input type="password" id="key" autocomplete="off"></label>
<button>Show the images</button> <span id="trouble" role="status"></span></form>"""


def render_shadow(
    compared: Mapping[str, Any], aliases: Sequence[str], withdrawn: Mapping[str, str], address: str
) -> str:
    """`compared` is what GET /shadows/NAME says as JSON; `aliases` are those that mean its `of`, and `withdrawn` says
    by alias why a guard took the weight of `run` away. `address` is the service's, as its visitor knows it.
    """
    of, run = escape(compared["of"]), escape(compared["run"])
    sections = [
        f"<p>{run} sees {100 * compared['share']:.4g} % of the images that {of} answers, and answers nobody.</p>"
    ]
    if "reason" in compared:
        sections.append(_section("It can't run", f"<p>{escape(compared['reason'])}</p>"))
    else:
        sections += [
            _section("Comparison", _facts(compared)),
            _section("Confusion", _confusion(compared)),
            _section("Disagreements", _disagreements(compared)),
        ]
    guarded = "".join(f"<li>{escape(name)}: {escape(why)}</li>" for name, why in withdrawn.items())
    sections.append(_section("Taken back by a guard", f"<ul>{guarded}</ul>" if guarded else ""))
    promote = f"<p>With an admin key in KEY:</p><pre>{escape(_promote(compared, aliases, address))}</pre>"
    sections.append(_section("To promote it", promote))
    return _PAGE.format(title=escape(compared["name"]), sections="\n".join(sections))


def _facts(compared: Mapping[str, Any]) -> str:
    rows = [("Images that both have answered", f"{compared['images']:,}")]
    if compared["images"]:
        low, high = compared["top1_agreement_interval"]
        rows += [
            ("Same top class", f"{compared['top1_agreement']:.2%} (95 % interval {low:.2%} to {high:.2%})"),
            ("Mean |p - p'| of the caller's class", f"{compared['mean_abs_difference']:.4f}"),
        ]
        for by in ("of", "run"):
            took = compared["latency"][by]
            rows.append(
                (
                    f"Batches of {compared['compares'][by]}",
                    f"{took['mean_infer_ms']:.2f} ms on average, {took['p99_infer_ms']:.2f} ms p99, "
                    f"{took['mean_batch_rows']:.1f} rows",
                )
            )
    rows += [("Failed", f"{compared['failed']:,}"), ("Dropped for want of an idle moment", f"{compared['dropped']:,}")]
    return f"<dl>{''.join(f'<dt>{escape(name)}</dt><dd>{escape(value)}</dd>' for name, value in rows)}</dl>"


def _confusion(compared: Mapping[str, Any]) -> str:
    rows = [(_label(pair["of"]), _label(pair["run"]), f"{pair['images']:,}") for pair in compared["confusion"]]
    return _table("Confusion", (compared["of"], compared["run"], "Images"), rows)


def _label(label: str) -> str:
    """Pairs beyond those counted one by one stand under an empty one."""
    return escape(label) or "(others)"


def _disagreements(compared: Mapping[str, Any]) -> str:
    rows = [
        (
            _image(compared["name"], entry),
            *(_answer(compared["name"], entry, by) for by in ("of", "run")),
            datetime.fromtimestamp(entry["at"], UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
        )
        for entry in compared["disagreements"]
    ]
    key = _KEY if any(entry["image"] for entry in compared["disagreements"]) else ""
    return key + _table("Disagreements", ("Image", compared["of"], compared["run"], "Seen"), rows)


def _answer(name: str, entry: Mapping[str, Any], by: str) -> str:
    """What one of the two said, and the place of its evidence."""
    said = f"{escape(entry[by]['label'])} {entry[by]['probability']:.1%}"
    if not entry["image"]:
        return said
    source = f"{escape(name)}/images/{escape(entry['id'])}/{by}"
    return f'{said}<img data-source="{source}" alt="evidence for {escape(entry[by]["label"])}" hidden>'


def _image(name: str, entry: Mapping[str, Any]) -> str:
    if not entry["image"]:
        return "not kept"
    source = f"{escape(name)}/images/{escape(entry['id'])}"
    return f'<span>kept</span><img data-source="{source}" alt="what both have seen" hidden>'


def _table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """`rows` are escaped already; nothing where there are none."""
    if not rows:
        return ""
    columns = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{title}">'
        f'<table class="sides"><thead><tr>{columns}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def _promote(compared: Mapping[str, Any], aliases: Sequence[str], address: str) -> str:
    """One command for each alias of the model that answers now; without one its own name becomes an alias."""
    names = aliases or [compared["of"].partition("/")[0]]
    return "\n".join(
        f'curl -X PUT {address}aliases/{name} -H "Authorization: Bearer $KEY" -d \'{{"to": "{compared["run"]}"}}\''
        for name in names
    )


def _section(title: str, content: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{content}</section>" if content else ""
