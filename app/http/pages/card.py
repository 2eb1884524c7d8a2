"""The model card as a page to read. Everything in it is escaped: labels and names come from files of others.

Links are relative, so that the page works behind a proxy that puts a path in front.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from app.http.pages.card_words import describe_data, describe_limits, describe_trust, percent
from app.http.pages.robustness import render_robustness
from app.inference.model import LoadedModel
from app.observe.live_accuracy import LiveAccuracy
from artifact.card import ModelCard
from artifact.figures.interval import describe_interval
from artifact.image_policy import Preprocessing
from artifact.json import read_json
from artifact.layout import REPORT_FOLDER

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>{title}: model card</title>
<link rel="icon" href="../../web/icon.svg"><link rel="stylesheet" href="../../web/style.css"></head>
<body><main class="card"><p><a href="../../#{name}">Try it</a></p><h1>{title}</h1>
{sections}</main></body></html>"""

_PICTURES = {
    "curves.png": "Loss and accuracy while it was trained, by epoch",
    "confusion.png": "Confusion matrix: true classes by predicted ones",
    "reliability.png": "Reliability: accuracy by how sure the network was",
}
_DAMAGED = {"robustness.png": "Top-1 and calibration error by kind and strength of damage"}

Rows = Iterable[tuple[str, str]]


def render_card(model: LoadedModel, cascades: Sequence[str], live: LiveAccuracy | None) -> str:
    """An HTML page about one loaded version; `cascades` says in which it takes part, `live` what true labels said of
    its answers.

    Reads its report from disk: call it in a thread.
    """
    card = model.card
    report = model.folder / REPORT_FOLDER
    sections = [
        f"<p>{escape(_describe_network(card))}</p>",
        _section("Network", _table_of_facts(_network_rows(card))),
        _section("Input", _table_of_facts(_input_rows(card))),
        _section("Data", _table_of_facts(describe_data(card))),
        _section("Accuracy and trust", _table_of_facts(describe_trust(card, live)), _pictures(report, card, _PICTURES)),
        _robustness(report, card),
        _section("Class by class", _class_table(report)),
        _section("Proof", _table_of_facts(_proof_rows(model))),
        _section("Cascades", _list(cascades)),
        _section("Limits", _list(describe_limits(card))),
        _section("How to call it", f"<pre>{escape(_call(card))}</pre>"),
        _section(f"Its {len(card.labels):,} labels", f'<p class="labels">{escape(", ".join(card.labels))}</p>'),
    ]
    return _PAGE.format(title=escape(f"{card.name} {card.version}"), name=card.name, sections="\n".join(sections))


def _describe_network(card: ModelCard) -> str:
    paper, year = card.network.paper, card.network.year
    if year and str(year) not in paper:
        paper = f"{paper} ({year})"
    return f"{card.network.name}, {len(card.labels):,} classes. " + (f"{paper}." if paper else "")


def _network_rows(card: ModelCard) -> Rows:
    yield "Definition", card.network.origin
    yield "Weights", card.network.weights
    yield "Parameters", f"{card.network.parameters:,}"
    yield "Precision", card.precision
    yield "Last layer", card.reading
    yield "Made", card.created.partition("T")[0]
    yield "With", ", ".join(f"{name} {version}" for name, version in card.tools.items())
    yield "sha256 of model.onnx", card.sha256
    yield "License", card.license


def _input_rows(card: ModelCard) -> Rows:
    image = card.image
    fit = {
        "stretch": "the whole image, stretched",
        "crop": f"the middle: the shorter side becomes the network's size / {image.crop_fraction:g}",
        "pad": f"the whole image, its longer side the network's; the rest has the color {_levels(image.pad_color)}",
        "content": f"the ink's bounding box with a margin of {percent(image.margin, 0)}",
    }
    yield "Size", f"{image.width} x {image.height}, {'gray' if image.channels == 1 else 'RGB'}"
    yield "Fit", fit[image.fit]
    yield "Resize", image.resize
    if image.polarity != "any":
        yield "Polarity", f"{image.polarity.replace('-', ' ')}; other images are inverted"
    yield "Pixels", _describe_arithmetic(card.preprocessing)


def _describe_arithmetic(preprocessing: Preprocessing) -> str:
    """Of every level of a pixel, inside the graph; one figure where all channels have the same."""
    mean, std = (
        ", ".join(dict.fromkeys(f"{value:.4g}" for value in values))
        for values in (preprocessing.mean, preprocessing.std)
    )
    order = preprocessing.channel_order.replace("rgb", "RGB").replace("bgr", "BGR")
    several = "each channel " if "," in mean + std else ""
    return f"{order}: {several}(level - {_brace(mean)}) / {_brace(std)}"


def _brace(figures: str) -> str:
    return f"[{figures}]" if "," in figures else figures


def _levels(color: tuple[int, ...]) -> str:
    return ",".join(map(str, color))


def _proof_rows(model: LoadedModel) -> Rows:
    proof = model.card.proof
    yield "Compared with Keras on", f"{proof.images:,} images ({proof.source})"
    yield "Largest difference", f"{proof.max_abs_difference:.2g} in probability, {proof.abs_tolerance:g} allowed"
    yield "Equal top class", percent(proof.top1_agreement, 2)
    yield "Here, on golden images", f"{model.replay_difference:.2g} on {model.device.name}"


def _class_table(report: Path) -> str:
    """Recall and precision of each class on the test images; nothing where they weren't measured."""
    try:
        classes: list[dict[str, Any]] = read_json((report / "metrics.json").read_bytes())["classes"]
        rows = [(row["label"], int(row["images"]), _describe_recall(row), _share(row["precision"])) for row in classes]
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    head = "".join(f'<th scope="col">{name}</th>' for name in ("Class", "Test images", "Recall", "Precision"))
    body = "".join(
        f'<tr><th scope="row">{escape(str(label))}</th><td>{images:,}</td><td>{recall}</td><td>{precision}</td></tr>'
        for label, images, recall, precision in rows
    )
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="Class by class">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _describe_recall(row: dict[str, Any]) -> str:
    """With its interval: a class has few images."""
    return "-" if row["recall"] is None else describe_interval(row["recall"], row["images"])


def _share(value: float | None) -> str:
    return "-" if value is None else percent(value)


def _robustness(report: Path, card: ModelCard) -> str:
    if card.robustness is None:
        return ""
    return _section("Damaged images", _pictures(report, card, _DAMAGED), render_robustness(card.robustness))


def _pictures(report: Path, card: ModelCard, titles: Mapping[str, str]) -> str:
    figures = "".join(
        f'<figure><a href="report/{name}?version={card.version}" title="In its own size">'
        f'<img src="report/{name}?version={card.version}" alt="{text}" loading="lazy"></a></figure>'
        for name, text in titles.items()
        if (report / name).is_file()
    )
    return f'<div class="pictures">{figures}</div>' if figures else ""


def _call(card: ModelCard) -> str:
    return (
        f"curl -F file=@image.jpg http://HOST:PORT/predict/{card.name}\n"
        f"curl -F file=@image.jpg -H 'Accept: image/png' http://HOST:PORT/explain/{card.name} -o why.png"
    )


def _section(title: str, *parts: str) -> str:
    content = "".join(parts)
    return f"<section><h2>{escape(title)}</h2>{content}</section>" if content else ""


def _table_of_facts(rows: Rows) -> str:
    lines = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in rows if value)
    return f"<dl>{lines}</dl>" if lines else ""


def _list(items: Sequence[str]) -> str:
    return f"<ul>{''.join(f'<li>{escape(item)}</li>' for item in items)}</ul>" if items else ""
