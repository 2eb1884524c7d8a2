"""The command that chooses a cascade's threshold and prints it as the service's settings have it."""

from __future__ import annotations

import argparse
from typing import Any

from export.cli.options import DATASET, add_repository, add_shared, add_skip_damaged, fraction


def add_cascade(commands: Any) -> None:
    parser = commands.add_parser(
        "cascade",
        help="when a small model should pass an image on to a large one, for a given accuracy",
        description="Choose the probability of FIRST below which THEN is asked, so that the two together reach an "
        "accuracy with as few questions to THEN as possible. It is chosen on the images that both trainings held back, "
        "never on test images, and printed as TOML for the settings of `convserve serve`.",
    )
    parser.add_argument("first", metavar="FIRST", help="NAME or NAME/VERSION of the small model")
    parser.add_argument("then", metavar="THEN", help="NAME or NAME/VERSION of the large model, with the same labels")
    parser.add_argument("--dataset", required=True, metavar="D", help=DATASET)
    parser.add_argument("--accuracy", type=fraction, required=True, metavar="A", help="accuracy to reach, such as 0.93")
    parser.add_argument("--name", default="cascade", help="the alias (default: cascade)")
    add_repository(parser, "folder of the served models")
    add_skip_damaged(parser)
    add_shared(parser, _cascade, data=True)


def _cascade(options: argparse.Namespace) -> None:
    from export.data.datasets import load_dataset
    from export.publish.cascade import choose_cascade
    from export.publish.place import open_place

    with open_place(options.repository) as place:
        first, then = place.fetch(options.first), place.fetch(options.then)
        dataset = load_dataset(options.dataset, options.data_dir, skip_damaged=options.skip_damaged)
        chosen = choose_cascade(first, then, dataset, options.accuracy)
    print(
        f"# on {chosen.images:,} validation images of {dataset.title}: {chosen.accuracy:.2%} right (other images: "
        f"+- {chosen.margin:.2%}), {options.then} asked for {chosen.asked:.1%};\n"
        f"# {options.first} alone {chosen.first_accuracy:.2%}, {options.then} alone {chosen.second_accuracy:.2%}\n"
        f"[aliases.{_quote(options.name)}]\n"
        f"first = {_quote(options.first, always=True)}\n"
        f"then = {_quote(options.then, always=True)}\n"
        f'when = "p < {chosen.probability:g}"'
    )


def _quote(text: str, always: bool = False) -> str:
    """As TOML has it: a bare key where it can be one."""
    bare = text.isascii() and text.replace("-", "").replace("_", "").isalnum()
    return text if bare and not always else '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
