"""The model card as a page to read. Everything in it is escaped: labels and names come from files of
others.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from app.model import LoadedModel

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><link rel="stylesheet" href="{root}/web/style.css"></head>
<body><main class="card"><p><a href="{root}/">convserve</a></p><h1>{title}</h1>
{sections}</main></body></html>"""


def render_card(model: LoadedModel, root: str = "") -> str:
    """An HTML page about one loaded version. `root` is the path that a proxy put in front."""
    card = model.card
    proof = card.proof
    sections = [
        _section(
            "Network",
            [
                ("definition and weights", f"{card.network.origin}, {card.network.weights}"),
                (
                    "paper",
                    f"{card.network.paper} ({card.network.year})" if card.network.year else card.network.paper,
                ),
                ("parameters", f"{card.network.parameters:,}"),
                ("precision", card.precision),
                ("license", card.license),
            ],
        ),
        _section(
            "Input",
            [
                ("size", f"{card.image.width} x {card.image.height}, {card.image.channels} channel(s)"),
                ("fit", card.image.fit),
                ("resize", card.image.resize),
                ("polarity", card.image.polarity),
            ],
        ),
        _section(
            "Accuracy",
            [
                ("measured on", f"{e.images:,} images of {e.dataset} ({e.split})"),
                ("top-1", f"{e.top1:.2%}"),
                ("top-5", f"{e.top5:.2%}"),
                ("calibration error", f"{e.ece:.3f}"),
            ]
            if (e := card.evaluation)
            else [("measured on", "nothing: unproven")],
        ),
        _section(
            "Proof",
            [
                ("compared with Keras on", f"{proof.images:,} images ({proof.source})"),
                ("largest difference", f"{proof.max_abs_difference:.2g}, allowed {proof.abs_tolerance:g}"),
                ("here, on golden images", f"{model.replay_difference:.2g} on {model.device.name}"),
            ],
        ),
        _section("Labels", [(str(len(card.labels)), ", ".join(card.labels))]),
    ]
    return _PAGE.format(title=escape(f"{card.name} {card.version}"), root=escape(root), sections="\n".join(sections))


def _section(title: str, rows: Iterable[tuple[str, str]]) -> str:
    lines = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in rows if value)
    return f"<section><h2>{escape(title)}</h2><dl>{lines}</dl></section>"
