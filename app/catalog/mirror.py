"""Mirror: copies the versions that a store holds into the cache folder, which is then served like any repository. Only
this module writes there: a version appears when it is complete and was checked against its card.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import shutil
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from app.catalog.repository import choose_versions
from app.catalog.threads import run_in_thread
from app.settings import Settings
from artifact.errors import ArtifactError, NotWhole, StoreError
from artifact.layout import CARD_FILE, list_models, list_versions
from artifact.stores.copying import Found, copy_version, find_version
from artifact.stores.opening import open_store
from artifact.stores.store import Files, Listing, Store
from artifact.whole import check_files

log = logging.getLogger(__name__)

_LOCK = ".lock"
_UNFINISHED = ".copy-"


@dataclass(frozen=True)
class _Known:
    """The result of the last attempt to copy one version."""

    listed: Files
    files: Files
    """What was copied and found wrong; empty where nothing was, or not all of it was there."""
    problem: str


class Mirror:
    """Copies the store that the settings name into its cache folder. Its methods block: call them in a thread."""

    def __init__(self, settings: Settings, store: Store | None = None) -> None:
        self.folder = settings.folder
        self._address = str(settings.repository)
        self._versions = settings.versions
        self._only = settings.load
        self._store = store
        self._known: dict[tuple[str, int], _Known] = {}
        self._stopped = False

    @property
    def is_filled(self) -> bool:
        """Whether the folder has a version of every model to load, so that it can be served without the store."""
        try:
            names = self._only or list_models(self.folder)
        except ArtifactError:
            return False
        return bool(names) and all(list_versions(self.folder / name) for name in names)

    def stop(self) -> None:
        """Abort the copy in progress. May be called from any thread."""
        self._stopped = True

    def refresh(self, names: Collection[str] = ()) -> Mapping[str, str]:
        """Copy into the folder what the store holds now, and remove what it no longer holds. This concerns the models
        in `names` or, if there are none, those that the settings load and those in the folder.

        Returns {model: error message} for the models whose newest wanted version couldn't be copied, {} if it was
        stopped. Such an error is logged once, and the earlier copy stays.

        Raises StoreError where the store can't be reached or refuses, or where the folder can't be written: earlier
        copies stay, and no incomplete one is left.
        """
        self._store = self._store or open_store(self._address)
        listing = self._store.list()
        try:
            with self._alone():
                return self._follow(self._store, listing, names)
        except InterruptedError:
            return {}
        except OSError as error:
            raise StoreError(
                f"the cache {error.filename or self.folder} can't be written ({error.strerror}): name another with "
                "--cache-dir"
            ) from error

    def _follow(self, store: Store, listing: Listing, names: Collection[str]) -> Mapping[str, str]:
        problems: dict[str, str] = {}
        there = list_models(self.folder)
        if there and not listing:
            raise StoreError(
                f"the repository {self._address} has no models any more: check its address, or delete {self.folder} "
                "if that is intended"
            )
        wanted = set(names) or {*(self._only or listing), *there}
        for name in sorted(wanted & listing.keys()):
            for number in self._choose(listing[name]):
                if problem := self._bring(store, name, number, listing[name][number]):
                    problems.setdefault(name, f"{name} version {number} in {self._address}: {problem}")
                elif self._versions == "latest":
                    break
        for name in there:
            for number in list_versions(self.folder / name):
                if number not in listing.get(name, {}):
                    self._withdraw(name, number)
        return problems

    def _choose(self, versions: Mapping[int, Files]) -> list[int]:
        """The versions to copy, newest first; of `latest`, an older one is a substitute for newer ones that fail."""
        available = sorted(versions)
        return available[::-1] if self._versions == "latest" else choose_versions(available, self._versions)[::-1]

    def _bring(self, store: Store, name: str, number: int, listed: Files) -> str:
        """Copy one version if the folder lacks it; returns the error message, or ""."""
        known = self._known.get((name, number))
        there = self.folder / name / str(number)
        if known is not None and known.listed == listed and not known.problem and there.is_dir():
            return ""
        tried: Files = {}
        try:
            found = find_version(store, name, number, listed)
            if known is not None and known.problem and (known.listed, known.files) == (listed, found.files):
                return known.problem  # nothing changed since it was copied and found wrong
            if known is not None or not _holds(there, found):
                tried = found.files
                self._copy(store, found, there)
            problem = ""
        except StoreError:
            raise
        except ArtifactError as error:
            problem = error.detail
            if _is_arriving(error):
                tried = {}  # not even whole: it is tried again whether or not the listing changes
            if known is None or known.problem != problem:
                self._say(f"{name} version {number}", error, there.is_dir())
        self._known[name, number] = _Known(listed, tried if problem else {}, problem)
        return problem

    def _say(self, title: str, error: ArtifactError, is_kept: bool) -> None:
        kept = ": the earlier copy stays loaded" if is_kept else ""
        if _is_arriving(error):
            log.info("%s in %s is being copied: %s%s", title, self._address, error.detail, kept)
        else:
            log.error("%s in %s is refused: %s%s", title, self._address, error.detail, kept)

    def _copy(self, store: Store, found: Found, there: Path) -> None:
        title = f"{found.name} version {found.number}"
        log.info("copying %s from %s: %.1f MB", title, self._address, found.size / 1e6)
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix=_UNFINISHED, dir=self.folder) as scratch:
            copied = Path(scratch, str(found.number))
            copied.mkdir()
            copy_version(store, found, copied, lambda: self._stopped)
            if _holds(there, found):  # the same files, written again
                return
            there.parent.mkdir(exist_ok=True)
            if there.exists():
                there.rename(Path(scratch, "old"))
            copied.rename(there)
        log.info("copied %s in %.1f s", title, time.monotonic() - began)

    def _withdraw(self, name: str, number: int) -> None:
        log.info("%s version %d was removed from %s", name, number, self._address)
        self._known.pop((name, number), None)
        with tempfile.TemporaryDirectory(prefix=_UNFINISHED, dir=self.folder) as scratch:
            (self.folder / name / str(number)).rename(Path(scratch, "old"))
            if not any((self.folder / name).iterdir()):
                (self.folder / name).rmdir()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Lock the folder against other processes, and delete the unfinished copies of those that were killed."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / _LOCK).open("w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            for leftover in self.folder.glob(f"{_UNFINISHED}*"):
                shutil.rmtree(leftover)
            yield


class AsyncMirror:
    """Runs a Mirror in threads for the event loop, one refresh at a time. With None, where the repository is a folder,
    there is nothing to copy.
    """

    def __init__(self, mirror: Mirror | None) -> None:
        self._mirror = mirror
        self._copying: asyncio.Future[Mapping[str, str]] | None = None
        self._alone = asyncio.Lock()
        self.missing: Mapping[str, str] = {}
        """What the last refresh returned: the error message of each model whose newest version couldn't be copied."""

    @property
    def is_filled(self) -> bool:
        """Whether the earlier copies can be served at once, without the store."""
        return self._mirror is not None and self._mirror.is_filled

    async def refresh(self, names: Collection[str] = ()) -> str:
        """Mirror.refresh in a thread; sets `missing`. Returns why the store isn't available, or ""."""
        if self._mirror is None:
            return ""
        async with self._alone:
            self._copying = run_in_thread(partial(self._mirror.refresh, names))
            try:
                self.missing = await asyncio.shield(self._copying)
            except ArtifactError as error:
                return error.detail
            return ""

    async def close(self, patience_s: float) -> None:
        """Stop the copy in progress and wait up to `patience_s` seconds for its thread to end."""
        if self._mirror is not None and self._copying is not None:
            self._mirror.stop()
            done, _ = await asyncio.wait([self._copying], timeout=patience_s)
            for copying in done:
                copying.exception()  # seen: nobody waits for it any more


def fill(settings: Settings, beside: Collection[str] = ()) -> None:
    """Copy the store's versions into the cache folder, for a command that then reads them there: of the models that the
    settings load, and of those `beside` them, which need not exist. Does nothing where the repository is a folder.
    Where the store isn't available, the earlier copies are used, with a warning; raises StoreError if there are none.
    """
    if not settings.is_store:
        return
    mirror = Mirror(settings)
    try:
        mirror.refresh([*settings.load, *beside])
    except StoreError as error:
        if not mirror.is_filled:
            raise
        log.warning("%s: the earlier copy is used", error.detail)


def _is_arriving(error: ArtifactError) -> bool:
    """Whether a version only lacks files that may still arrive."""
    return isinstance(error, NotWhole) and error.detail.startswith("it lacks")


def _holds(folder: Path, found: Found) -> bool:
    """Whether a folder holds exactly this version: the same card, and every file as the card lists it. Files may have
    been damaged since they were copied.
    """
    try:
        if (folder / CARD_FILE).read_bytes() != found.data:
            return False
        check_files(folder, found.card)
    except FileNotFoundError:
        return False
    except ArtifactError as error:
        log.warning("the copy in %s can't be used: %s", folder, error.detail)
        return False
    return True
