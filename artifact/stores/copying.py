"""Copies one version from a store to a folder: complete and as its card lists it, or an error."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from artifact.card import ModelCard
from artifact.documents import parse_document
from artifact.errors import ArtifactError, NotWhole
from artifact.layout import CARD_FILE
from artifact.stores.index import hash_card
from artifact.stores.store import Files, Store
from artifact.whole import check_files, name_needed


class Found(NamedTuple):
    """A version in a store; only its card was read so far."""

    name: str
    number: int
    card: ModelCard
    data: bytes
    """Of card.json."""
    files: Files
    """The files that the card lists and the store has."""

    @property
    def size(self) -> int:
        """Bytes of the files to copy."""
        return sum(listed.size for path, listed in self.card.files.items() if path in self.files)


def find_version(store: Store, name: str, number: int, listed: Files) -> Found:
    """Look at a version; `listed` is what the store's listing says of it.

    Raises NotWhole naming what it lacks, ArtifactError where its card is none, and StoreError.
    """
    try:
        data = store.read(f"{name}/{number}/{CARD_FILE}")
    except FileNotFoundError as error:
        raise NotWhole(f"it lacks {CARD_FILE}") from error
    if (listed_as := listed[CARD_FILE].sha256 if CARD_FILE in listed else "") and listed_as != hash_card(data):
        raise NotWhole(f"it lacks the {CARD_FILE} that the listing has")
    card = parse_document(ModelCard, data, CARD_FILE, "a model card")
    if not card.files:
        raise ArtifactError(f"its card has format {card.format}, which lists no files: export the model again")
    if (card.name, card.version) != (name, number):
        raise ArtifactError(f"its card is of {card.name} version {card.version}: publish it under its own name")
    files = store.find(name, number, listed, card.files)
    lacking = [path for path in name_needed(card) if path not in files]
    lacking += [
        f"{path} ({entry.size:,} of {card.files[path].size:,} bytes)"
        for path, entry in files.items()
        if entry.size not in (None, card.files[path].size)
    ]
    if lacking:
        shown = ", ".join(lacking[:5]) + (f" and {len(lacking) - 5} more" if len(lacking) > 5 else "")
        raise NotWhole(f"it lacks {shown}")
    return Found(name, number, card, data, files)


def copy_version(store: Store, found: Found, folder: Path, is_stopped: Callable[[], bool] = lambda: False) -> None:
    """Fill an empty folder with what was found, and check it against the card. Raises NotWhole where a file went away
    or isn't the one that the card lists, StoreError, OSError where the folder can't be written, and InterruptedError
    once `is_stopped`.
    """
    for path in found.files:
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            store.copy(f"{found.name}/{found.number}/{path}", target, is_stopped)
        except FileNotFoundError as error:
            raise NotWhole(f"it lacks {path}") from error
    (folder / CARD_FILE).write_bytes(found.data)
    try:
        check_files(folder, found.card)
    except ArtifactError as error:
        raise NotWhole(error.detail) from error
