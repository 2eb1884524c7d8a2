"""Watcher: the one owner of what the repository looked like and of what was unloaded by hand. It tells those who serve
(one catalog, or the catalogs of all workers) what to load, at the start, by hand and whenever the repository changes.
Where the repository is a store, the mirror brings it into a folder first, and the rest is the same.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import partial
from typing import Protocol

from app.catalog.mirror import Copies, Mirror
from app.catalog.repository import Look, Repository, Seen, unreadable
from app.catalog.threads import PATIENCE_S, PatientReader
from app.catalog.watch_log import WatchLog
from app.errors import LoadRefused, UnknownModel
from app.settings import Settings
from artifact.errors import ArtifactError
from artifact.layout import Fingerprint

log = logging.getLogger(__name__)

# What is arriving is looked at again though nobody asked for polling.
_ARRIVAL_S = 1.0
_NOTHING = Seen(Look(""), there=False)


class Served(Protocol):
    """Who serves what the watcher sees: all follow, or none."""

    async def load(self, look: Look) -> None:
        """Load what was seen of a model. Raises LoadRefused, and then nothing changed."""

    async def note(self, look: Look) -> None:
        """Show what was seen of a model of which there is nothing to load."""

    async def unload(self, name: str) -> None:
        """Take a model out. Raises UnknownModel."""

    async def forget(self, name: str) -> None:
        """Take out a model whose folder went away."""


class Watcher:
    def __init__(
        self,
        settings: Settings,
        served: Served,
        repository: Repository | None = None,
        patience_s: float = PATIENCE_S,
        mirror: Mirror | None = None,
    ) -> None:
        self._only = settings.load
        self._poll_s = settings.looks_every_s
        self._served = served
        self._repository = repository or Repository(settings)
        self._reader = PatientReader(patience_s)
        self._copies = Copies(mirror or (Mirror(settings) if settings.is_store else None))
        self._is_behind = False  # the folder was filled before, and the store not yet asked
        self._patience_s = patience_s
        self._seen: dict[str, Seen] = {}
        self._loaded: dict[str, Mapping[int, Fingerprint]] = {}  # by model: how versions looked when all were loaded
        self._unloaded: set[str] = set()
        self._problem = ""
        self._log = WatchLog()
        self._looking = asyncio.Lock()
        self._changing = asyncio.Lock()
        self._arrival = asyncio.Event()

    @property
    def looks(self) -> list[Look]:
        """What is to be served now, and what isn't and why."""
        return [seen.look for seen in self._seen.values()]

    @property
    def unloaded(self) -> Collection[str]:
        """Names of the models that a request has unloaded: only a request to load one brings it back."""
        return self._unloaded

    @property
    def problem(self) -> str:
        """Why the repository, or what of it, couldn't be read at the last look; empty otherwise."""
        return self._problem or "; ".join(self._copies.missing.values())

    async def begin(self) -> None:
        """The first look; whoever asked loads what `looks` says then. What was copied from a store before is served
        at once, whatever became of the store.
        """
        async with self._looking:
            self._is_behind = self._copies.is_filled
            unavailable = "" if self._is_behind else await self._copies.refresh()
            if (there := await self._list(unavailable)) is None:
                return
            for seen in await self._look_at(list(dict.fromkeys([*there, *self._only]))):
                self._log.seen(seen, _NOTHING)
                self._remember(seen)
                self._loaded[seen.look.name] = seen.due

    async def look(self, names: Collection[str] | None = None) -> list[str]:
        """Look at the repository, or at some of its models, and have loaded what changed and dropped what left; a few
        words on each. What can't be read or loaded is logged once and holds up nothing else.
        """
        done: list[str] = []
        async with self._looking:
            self._is_behind = False
            unavailable = await self._copies.refresh(names or ())
            there = await self._list(unavailable)
            if there is None:
                return [self._problem]
            for seen in await self._look_at(there if names is None else [name for name in names if name in there]):
                done += await self._follow(seen)
            for name in [name for name in self._seen if name not in there and self._seen[name].there]:
                done += await self._forget(name)
        return done + ([unavailable] if unavailable else [])

    async def close(self) -> None:
        """Give up what is being copied."""
        await self._copies.close(self._patience_s)

    async def watch(self) -> None:
        """Wait until the next check of the repository is due, and check."""
        if self._is_behind:
            await self.look()
        elif self._poll_s:
            await asyncio.sleep(self._poll_s)
            await self.look()
        else:
            await self._arrival.wait()
            await asyncio.sleep(_ARRIVAL_S)
            await self.look([name for name, seen in self._seen.items() if seen.look.arriving])

    async def load(self, name: str) -> None:
        """Load, or load again, what the repository holds of a model now.

        Raises UnknownModel, or LoadRefused where any wanted version can't be served; then nothing changed. Where the
        store is away, what was copied before is loaded.
        """
        if unavailable := await self._copies.refresh([name]):
            log.warning("%s is loaded from the earlier copy: %s", name, unavailable)
        elif refusal := self._copies.missing.get(name):
            raise LoadRefused(refusal)
        async with self._changing:
            (seen,) = await self._look_at([name])
            look = seen.look
            if not seen.there:
                raise UnknownModel(look.reason)
            arriving = {number: missing for number, missing in look.arriving if number >= max(look.wanted, default=0)}
            if look.reason or arriving:
                words = [f"{name} version {number} is being copied: it lacks {it}" for number, it in arriving.items()]
                raise LoadRefused(look.reason or "; ".join(words))
            await self._served.load(look)
            self._loaded[name] = seen.due
            self._unloaded.discard(name)
            self._remember(seen)

    async def unload(self, name: str) -> None:
        """Take a model out of service. Raises UnknownModel."""
        async with self._changing:
            await self._served.unload(name)
            self._unloaded.add(name)

    async def _list(self, unavailable: str) -> list[str] | None:
        """The models to look at; None where the repository can't be read. That, or why its store can't be had, is said
        once.
        """
        problem, found = unavailable, None
        try:
            found = await self._reader.read("the repository", self._repository.list_names)
        except ArtifactError as error:
            problem = problem or error.detail
        except OSError as error:
            problem = problem or str(error)
        self._log.unreadable(problem, ": the loaded models stay" if unavailable and self._seen else "")
        self._problem = problem
        if found is None:
            return None
        names, strangers = found
        self._log.passed_over(strangers)
        return [name for name in names if not self._only or name in self._only or name in self._seen]

    async def _look_at(self, names: list[str]) -> list[Seen]:
        return await asyncio.gather(*(self._look_at_one(name) for name in names))

    async def _look_at_one(self, name: str) -> Seen:
        before = self._seen.get(name)
        try:
            return await self._reader.read(name, partial(self._repository.look, name, before))
        except TimeoutError as error:
            return unreadable(name, before, str(error))

    async def _follow(self, seen: Seen) -> list[str]:
        """Have loaded what changed of one model, or shown."""
        look = seen.look
        before = self._seen.get(look.name, _NOTHING)
        async with self._changing:
            self._remember(seen)
            try:
                self._log.seen(seen, before)
                done = []
                if look.name in self._unloaded:
                    pass
                elif seen.due and seen.due != before.due:
                    loaded = self._loaded.get(look.name, {})
                    same = tuple(number for number, found in seen.due.items() if loaded.get(number) == found)
                    await self._served.load(replace(look, unchanged=same))
                    self._loaded[look.name] = seen.due
                    done.append(f"{look.name} loaded")
                elif look != before.look:
                    await self._served.note(look)
                    done += [f"{look.name} version {number} is being copied" for number, _ in look.arriving]
                    done += [f"{look.name}: {look.reason}"] if look.reason else []
                self._log.succeeded(look.name)
                return done
            except LoadRefused as error:
                log.warning("%s stays as it is: %s", look.name, error.detail)
            except BaseException as error:
                self._restore(look.name, before)  # it is tried again at the next look
                if not isinstance(error, Exception):
                    raise
                self._log.failed(look.name, error)
            return [f"{look.name} stays as it is"]

    async def _forget(self, name: str) -> list[str]:
        async with self._changing:
            before = self._seen.pop(name)
            self._loaded.pop(name, None)
            if name in self._unloaded:
                return []
            try:
                await self._served.forget(name)
            except Exception as error:
                self._restore(name, before)
                self._log.failed(name, error)
                return [f"{name} stays as it is"]
            log.info("%s was removed from the repository and is unloaded", name)
            return [f"{name} dropped"]

    def _remember(self, seen: Seen) -> None:
        self._seen[seen.look.name] = seen
        if any(known.look.arriving for known in self._seen.values()):
            self._arrival.set()
        else:
            self._arrival.clear()

    def _restore(self, name: str, before: Seen) -> None:
        if before is _NOTHING:
            self._seen.pop(name, None)
        else:
            self._seen[name] = before
