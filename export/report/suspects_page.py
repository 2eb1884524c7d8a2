"""Suspects for people: suspects.csv with all of them, and a page of thumbnails that needs no other file."""

from __future__ import annotations

import base64
import csv
import io
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from artifact.images.frame import Pixels
from export.report.suspects import Suspects

TABLE_FILE, PAGE_FILE = "suspects.csv", "suspects.html"
THUMBNAIL = 128
"""The longer side of what is larger, in pixels; smaller images are embedded as they are."""

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>{title}</title><style>
:root {{ --ink: #1b232c; --soft: #55606d; --paper: #f6f5f1; --panel: #fff; --line: #d9d7cf; --given: #a3341b;
  --suggested: #1d5fa3 }}
@media (prefers-color-scheme: dark) {{ :root {{ --ink: #e8e9ea; --soft: #a4adb7; --paper: #14181d; --panel: #1d232a;
  --line: #333c46; --given: #f09a80; --suggested: #86b9f0 }} }}
body {{ margin: 0; padding: 1.5rem; background: var(--paper); color: var(--ink);
  font: 15px/1.45 system-ui, sans-serif }}
h1 {{ font-size: 1.5rem; margin: 0 0 .25rem }} p {{ margin: 0 0 1.25rem; color: var(--soft); max-width: 70ch }}
ol {{ list-style: none; margin: 0; padding: 0; display: grid; gap: .75rem;
  grid-template-columns: repeat(auto-fill, minmax(11rem, 1fr)) }}
li {{ background: var(--panel); border: 1px solid var(--line); border-radius: .5rem; padding: .6rem;
  overflow-wrap: anywhere }}
img {{ display: block; width: 100%; aspect-ratio: 1; object-fit: contain; background: #808080; border-radius: .25rem }}
img.small {{ image-rendering: pixelated }}
dl {{ display: grid; grid-template-columns: 1fr auto; gap: 0 .5rem; margin: .5rem 0 .25rem }}
dt, dd {{ margin: 0 }} dd {{ font-variant-numeric: tabular-nums; text-align: right }}
.given {{ color: var(--given) }} .suggested {{ color: var(--suggested); font-weight: 600 }}
small {{ color: var(--soft) }}
</style></head><body><main><h1>{title}</h1><p>{words}</p>{legend}<ol>
{cards}
</ol></main></body></html>
"""


_LEGEND = """
<p>Under each image <span class="given">the label that it has</span> and below it
<span class="suggested">the one that the network suggests</span>, with the network's probability of each.</p>
"""


def write_suspects(
    folder: Path,
    suspects: Suspects,
    labels: Sequence[str],
    *,
    title: str,
    name_image: Callable[[int], str],
    show_images: Callable[[npt.NDArray[np.intp]], Pixels],
    shown: int,
) -> None:
    """suspects.csv and suspects.html with the first `shown`, into `folder`.

    `name_image` gives an image's name for its place, `show_images` the uint8 [n, h, w, c] of some places.
    Raises OSError where the disk refuses.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = [name_image(int(place)) for place in suspects.places]
    with (folder / TABLE_FILE).open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(("rank", "image", "place", "given", "suggested", "p_given", "p_suggested"))
        for rank, name in enumerate(names):
            table.writerow((rank + 1, name, suspects.places[rank], *_describe(suspects, labels, rank, ".4f")))
    shown = min(shown, len(suspects))
    cards = [
        _card(suspects, labels, rank, names[rank], pixels)
        for rank, pixels in enumerate(show_images(suspects.places[:shown]) if shown else ())
    ]
    words, legend = escape(_summary(suspects, shown)), _LEGEND if cards else ""
    page = _PAGE.format(title=escape(title), words=words, legend=legend, cards="\n".join(cards))
    (folder / PAGE_FILE).write_text(page, encoding="utf-8")


def describe_suspects(suspects: Suspects) -> str:
    """How many there are, and how many wrong labels are estimated."""
    return (
        f"{len(suspects):,} of {suspects.images:,} labels are suspect; about {suspects.wrong_share:.1%} of all labels "
        "are estimated to be wrong"
    )


def _summary(suspects: Suspects, shown: int) -> str:
    left = "" if shown == len(suspects) else f" The first {shown:,} are shown, {TABLE_FILE} has all."
    return (
        f"By confident learning on held-out probabilities: {describe_suspects(suspects)}. A "
        "suspect is not a proof: the "
        f"network makes mistakes, too, which the estimate counts. The most suspect come first.{left}"
    )


def _card(suspects: Suspects, labels: Sequence[str], rank: int, name: str, pixels: Pixels) -> str:
    given, suggested, p_given, p_suggested = map(escape, _describe(suspects, labels, rank, ".1%"))
    small = ' class="small"' if max(pixels.shape[:2]) < THUMBNAIL else ""
    return (
        f'<li><img{small} src="{_embed(pixels)}" alt="{escape(name)}" loading="lazy"><dl>'
        f'<dt class="given">{given}</dt><dd>{p_given}</dd>'
        f'<dt class="suggested">{suggested}</dt><dd>{p_suggested}</dd></dl>'
        f"<small>{rank + 1:,}. {escape(name)}</small></li>"
    )


def _describe(suspects: Suspects, labels: Sequence[str], rank: int, form: str) -> tuple[str, str, str, str]:
    """The given and the suggested label, and the probability of each."""
    return (
        labels[suspects.given[rank]],
        labels[suspects.suggested[rank]],
        format(suspects.given_probability[rank], form),
        format(suspects.suggested_probability[rank], form),
    )


def _embed(pixels: Pixels) -> str:
    """uint8 [h, w, 1 or 3] as a data address: PNG where it is small, else JPEG."""
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    form = "PNG" if max(image.size) < THUMBNAIL else "JPEG"
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    buffer = io.BytesIO()
    image.save(buffer, form, quality=85)
    return f"data:image/{form.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"
