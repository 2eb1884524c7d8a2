"""Place: where versions are published and read back. A folder is used directly. For a store there is a temporary local
folder with the store's version numbers: a version is made and proved there, then uploaded.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol, cast

from artifact.card import ModelCard, read_card
from artifact.documents import parse_document
from artifact.errors import ArtifactError, StoreError
from artifact.files import always_needed
from artifact.layout import CARD_FILE, LABELS_FILE, MODEL_FILE, TRITON_FILE
from artifact.stores.address import WRITABLE, Address
from artifact.stores.copying import copy_version, find_version
from artifact.stores.index import INDEX_FILE, write_store_index
from artifact.stores.opening import open_store
from artifact.stores.store import Store, WritableStore
from export.errors import DataError, PublishError, UsageError
from export.progress import say
from export.publish.published import Published, open_published
from export.publish.write import check_writable, refuse_another_model, renumber


class Place(Protocol):
    """A repository to publish into. Every call raises PublishError, or DataError where it reads."""

    folder: Path
    """The local repository in which versions are made."""

    def check_writable(self) -> None:
        """Raise PublishError before long work if nothing could be published, UsageError if the place is read only."""

    def prepare(self, name: str) -> None:
        """Copy into `folder` what the next version of a model must agree with: the newest card and config.pbtxt."""

    def deliver(self, version: Path) -> str:
        """Upload a version that was published into `folder`; returns its address. Readers see all of it or nothing."""

    def fetch(self, model: str) -> Published:
        """Copy `NAME` or `NAME/VERSION` into `folder` and open it. Raises as open_published does."""


@contextlib.contextmanager
def open_place(repository: Path | str) -> Iterator[Place]:
    """The place that --repository names, for one command. Raises PublishError where a store can't be opened."""
    if isinstance(repository, Path):
        yield FolderPlace(repository)
        return
    try:
        store = open_store(repository)
    except StoreError as error:
        raise PublishError(error.detail) from error
    with tempfile.TemporaryDirectory(prefix="convserve-") as scratch:
        yield StorePlace(store, Path(scratch))


class FolderPlace:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def check_writable(self) -> None:
        check_writable(self.folder)

    def prepare(self, name: str) -> None:
        """Nothing: it is there."""

    def deliver(self, version: Path) -> str:
        say(f"published {version}")
        return str(version)

    def fetch(self, model: str) -> Published:
        return open_published(self.folder, model)


class StorePlace:
    def __init__(self, store: Store, folder: Path) -> None:
        self._store = store
        self.folder = folder

    def check_writable(self) -> None:
        with _store_refusals():
            write_store_index(self._writable())

    def prepare(self, name: str) -> None:
        with _store_refusals():
            for number, card in self._outline(name):
                (self.folder / name / str(number) / CARD_FILE).write_text(card.model_dump_json(), encoding="utf-8")
                break
            with contextlib.suppress(FileNotFoundError):
                content = self._store.read(f"{name}/{TRITON_FILE}")
                (self.folder / name).mkdir(exist_ok=True)
                (self.folder / name / TRITON_FILE).write_bytes(content)

    def deliver(self, version: Path) -> str:
        store, name = self._writable(), version.parent.name
        with _store_refusals():
            version = self._claim(store, version)
            card = read_card(version)
            for path in sorted(card.files):
                if path != _claimed_by(card):
                    store.write(f"{name}/{version.name}/{path}", version / path)
            for path in (LABELS_FILE, TRITON_FILE):
                store.write(f"{name}/{path}", version.parent / path)
            store.write(f"{name}/{version.name}/{CARD_FILE}", version / CARD_FILE)
        where = f"{store.address}/{name}/{version.name}"
        try:
            write_store_index(store)
        except ArtifactError as error:
            raise PublishError(f"{where} is published, but not yet in {INDEX_FILE}: {error.detail}") from error
        say(f"published {where}")
        return where

    def fetch(self, model: str) -> Published:
        name, _, wanted = model.partition("/")
        try:
            listing = self._store.list()
            versions = listing.get(name, {})
            number = int(wanted) if wanted.isdigit() else 0 if wanted else max(versions, default=0)
            if number not in versions:
                there = ", ".join(f"{other}/{max(numbers)}" for other, numbers in sorted(listing.items()))
                raise UsageError(f"{self._store.address} has no {model!r}: there are {there or 'none'}")
            found = find_version(self._store, name, number, versions[number])
            say(f"copying {name} version {number} from {self._store.address}: {found.size / 1e6:.1f} MB")
            copy_version(self._store, found, self.folder / name / str(number))
        except StoreError as error:
            raise DataError(error.detail) from error
        except ArtifactError as error:
            raise DataError(f"{name} version {number} in {self._store.address}: {error.detail}") from error
        return open_published(self.folder, f"{name}/{number}")

    def _writable(self) -> WritableStore:
        if Address.of(self._store.address).scheme not in WRITABLE:
            raise UsageError(f"{self._store.address} is read only: publish into a folder, s3://, gs:// or az://")
        return cast(WritableStore, self._store)

    def _outline(self, name: str) -> Iterator[tuple[int, ModelCard]]:
        """Have the folder know a model's version numbers; those versions that have a card, newest first."""
        versions = self._store.list().get(name, {})
        for number in sorted(versions, reverse=True):
            (self.folder / name / str(number)).mkdir(parents=True, exist_ok=True)
        for number in sorted(versions, reverse=True):
            if CARD_FILE in versions[number]:
                data = self._store.read(f"{name}/{number}/{CARD_FILE}")
                try:
                    card = parse_document(ModelCard, data, CARD_FILE, "a model card")
                except ArtifactError:
                    continue  # a damaged version says nothing
                yield number, card

    def _claim(self, store: WritableStore, version: Path) -> Path:
        """The version's folder, with the next number that nobody took meanwhile: its first file is written."""
        name = version.parent.name
        while True:
            card = read_card(version)
            first = _claimed_by(card)
            if store.claim(f"{name}/{version.name}/{first}", version / first):
                return version
            for number, there in self._outline(name):
                refuse_another_model(name, number, there, card.labels, card.image)
                break
            version = renumber(version)


def _claimed_by(card: ModelCard) -> str:
    """The file that is written first, where it isn't there: a small one that every version has."""
    return next(path for path in always_needed(card.features) if path != MODEL_FILE)


@contextlib.contextmanager
def _store_refusals() -> Iterator[None]:
    """What a store says becomes what a command says."""
    try:
        yield
    except ArtifactError as error:
        raise PublishError(f"{error.detail}; nothing was published") from error
