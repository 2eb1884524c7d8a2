"""The card's accuracy on damaged images as a table; the picture of it is in the report."""

from __future__ import annotations

from html import escape

from app.http.pages.card_words import percent
from artifact.figures.interval import describe_interval
from artifact.figures.robustness import Robustness

_HEAD = ("Damage", "Strength", "Top-1 (95 % interval)", "Calibration error")


def render_robustness(found: Robustness) -> str:
    """A row for the images as they are, and one for each damage and strength."""
    rows = [("none", "", found.top1, found.ece)]
    rows += [(row.corruption, row.amount, row.top1, row.ece) for row in found.corrupted]
    body = "".join(_row(found.images, *row) for row in rows)
    head = "".join(f'<th scope="col">{name}</th>' for name in _HEAD)
    return (
        f"<p>{found.images:,} images of {escape(found.dataset)} at the network's size, each damaged in one way. ±: "
        "every second image is changed to the other side (darker and brighter, right and left, smaller and larger).</p>"
        '<div class="scroll" tabindex="0" role="region" aria-label="Damaged images">'
        f'<table class="damaged"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def _row(images: int, damage: str, amount: str, top1: float, ece: float) -> str:
    return (
        f'<tr><th scope="row">{damage}</th><td>{escape(amount)}</td><td>{describe_interval(top1, images)}</td>'
        f"<td>{percent(ece)}</td></tr>"
    )
