"""Whether a version's folder is whole yet: versions are copied file by file (rsync, kubectl cp, object stores)."""

from __future__ import annotations

from pathlib import Path

from artifact.card import read_card
from artifact.errors import ArtifactError
from artifact.json import read_json
from artifact.layout import CARD_FILE
from artifact.whole import find_missing, name_needed

_REST_OF_CARD = f"the rest of {CARD_FILE}"


def find_lacking(folder: Path) -> list[str]:
    """The missing files of a version's folder, in words for people; empty if it can be loaded. Also empty if the card
    is no card: loading it reports why. Raises OSError where the folder can't be read.
    """
    try:
        read_json((folder / CARD_FILE).read_bytes())
        card = read_card(folder)
    except FileNotFoundError:
        return [CARD_FILE]
    except ValueError:  # cut short, or no JSON at all
        return [_REST_OF_CARD]
    except ArtifactError:
        return []
    if missing := find_missing(folder, card):
        return missing
    for name in name_needed(card):
        with (folder / name).open("rb") as file:
            file.read(1)  # a file that hangs is to hang here, where somebody watches
    return []


def lacks_card(lacking: list[str]) -> bool:
    """Whether card.json is among what is `missing`, so that the folder's other files aren't known."""
    return lacking in ([CARD_FILE], [_REST_OF_CARD])
