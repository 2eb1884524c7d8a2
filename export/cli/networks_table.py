"""The table of the series: what `convserve-export networks` prints."""

from __future__ import annotations

import shutil
import textwrap
from typing import Any

from models.registry import NETWORKS


def network_rows() -> list[dict[str, Any]]:
    """One row per network, in the order of the registry."""
    return [
        {
            "name": name,
            "year": network.year,
            "paper": network.paper,
            "input_shape": list(network.input_shape),
            "classes": network.classes,
            "parameters": network.parameters,
            "multiply_adds": network.multiply_adds,
            "published_error": network.published_error,
            "story": network.story,
        }
        for name, network in NETWORKS.items()
    ]


def print_networks() -> None:
    """A table that fits the terminal: numbers on one line, paper and story below, wrapped."""
    width = max(60, min(shutil.get_terminal_size((100, 24)).columns, 120))
    print(
        f"{'network':<20}{'year':>5}{'input':>12}{'classes':>8}{'parameters':>13}{'M mult-adds':>12}  published error"
    )
    for row in network_rows():
        shape = "x".join(map(str, row["input_shape"]))
        millions = row["multiply_adds"] / 1e6
        print(
            f"{row['name']:<20}{row['year']:>5}{shape:>12}{row['classes']:>8}{row['parameters']:>13,}"
            f"{millions:>12,.{0 if millions >= 10 else 2}f}  {row['published_error']}"
        )
        print(textwrap.fill(f"{row['paper']}. {row['story']}", width, initial_indent="    ", subsequent_indent="    "))
