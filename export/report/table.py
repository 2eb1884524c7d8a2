"""The README's table of networks, from the cards of a repository."""

from __future__ import annotations

from pathlib import Path

from artifact.card import read_card
from artifact.errors import ArtifactError
from artifact.layout import MODEL_FILE, list_versions


def markdown_table(repository: Path) -> str:
    """A row for the newest version of each model: network, data, accuracy, parameters, size of the graph, parity."""
    rows = [
        "| model | network | test set | top-1 | parameters | ONNX | max \\|p - p'\\| |",
        "|---|---|---|---:|---:|---:|---:|",
    ]
    for home in sorted(repository.glob("[!.]*")):
        versions = list_versions(home)
        if not versions:
            continue
        folder = home / str(versions[-1])
        try:
            card = read_card(folder)
        except ArtifactError:
            continue  # the server names what it refuses; a table lists what is there
        accuracy = f"{card.evaluation.top1:.2%}" if card.evaluation else "-"
        tested = f"{card.evaluation.dataset} ({card.evaluation.images:,})" if card.evaluation else "-"
        megabytes = (folder / MODEL_FILE).stat().st_size / 1e6
        rows.append(
            f"| {card.name} | {card.network.name} | {tested} | {accuracy} | {card.network.parameters:,} | "
            f"{megabytes:.1f} MB | {card.proof.max_abs_difference:.0e} |"
        )
    return "\n".join(rows)


if __name__ == "__main__":
    import sys

    print(markdown_table(Path(sys.argv[1])))
