"""index.json at the root of a repository: its models, their versions and the sha256 of each card. A web server lists no
folders: what it serves is found by this file, so publishing writes it into every repository.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path
from typing import Annotated

from pydantic import Field

from artifact.documents import Document, parse_document
from artifact.files import Sha256, hash_file
from artifact.layout import CARD_FILE, NAME_PATTERN, VERSION_PATTERN, list_models, list_versions
from artifact.stores.store import WritableStore

INDEX_FILE = "index.json"

Name = Annotated[str, Field(pattern=NAME_PATTERN)]
Number = Annotated[str, Field(pattern=f"^{VERSION_PATTERN}$")]


class Index(Document):
    """The content of index.json."""

    models: dict[Name, dict[Number, Sha256]]
    """By model and version: the sha256 of its card.json."""

    def write(self) -> bytes:
        return (self.model_dump_json(indent=1) + "\n").encode()


def index_folder(repository: Path) -> Index:
    """The index of a folder, made from what is there. Versions without a card aren't there yet. Raises OSError."""
    models: dict[str, dict[str, str]] = {}
    for name in list_models(repository):
        for number in list_versions(repository / name):
            card = repository / name / str(number) / CARD_FILE
            if card.is_file():
                models.setdefault(name, {})[str(number)] = hash_file(card)
    return Index(models=models)


def write_index(repository: Path) -> None:
    """Write the index of a folder in one step. Where somebody publishes at the same time the last one to look wins, so
    it is looked at again until it says what is there. Raises OSError.
    """
    written = None
    while written != (index := index_folder(repository)):
        descriptor, name = tempfile.mkstemp(prefix=f".{INDEX_FILE}-", dir=repository)
        with os.fdopen(descriptor, "wb") as file:
            file.write(index.write())
        os.chmod(name, 0o644)
        os.replace(name, repository / INDEX_FILE)
        written = index


def write_store_index(store: WritableStore) -> None:
    """Write the index of a store, until it says what is there; that it can be written is known then. A card that the
    index has already isn't read again. Raises StoreError.
    """
    try:
        written = parse_document(Index, store.read(INDEX_FILE), INDEX_FILE, "an index of a repository")
    except FileNotFoundError:
        written = Index(models={})
    while True:
        index = _index_store(store, written)
        store.write(INDEX_FILE, index.write())
        if _index_store(store, index) == index:
            return
        written = index


def _index_store(store: WritableStore, known: Index) -> Index:
    models: dict[str, dict[str, str]] = {}
    for name, versions in sorted(store.list().items()):
        for number in sorted(number for number, files in versions.items() if CARD_FILE in files):
            known_as = known.models.get(name, {}).get(str(number))
            models.setdefault(name, {})[str(number)] = known_as or hash_card(store.read(f"{name}/{number}/{CARD_FILE}"))
    return Index(models=models)


def hash_card(data: bytes) -> str:
    """What an index says of a card."""
    return hashlib.sha256(data).hexdigest()
