"""Watcher: looks for changes in the repository and has them loaded by the catalog, or by the catalogs of all workers:
at the start, every poll_s seconds, and on request. A repository that is a store is first copied into a folder by
app.catalog.mirror.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import partial
from typing import Protocol

from app.catalog.mirror import AsyncMirror, Mirror
from app.catalog.repository import Look, Repository, Seen, unreadable
from app.catalog.threads import PATIENCE_S, PatientReader
from app.catalog.watch_log import WatchLog
from app.errors import LoadRefused, UnknownModel
from app.settings import Settings
from artifact.errors import ArtifactError
from artifact.layout import Fingerprint

log = logging.getLogger(__name__)

# Seconds until a version that is still being copied is looked at again, even where poll_s is 0.
_ARRIVAL_S = 1.0
_NOTHING = Seen(Look(""), there=False)


class Served(Protocol):
    """What the watcher tells of changes: one catalog, or those of all workers. A call succeeds in all or in none."""

    async def load(self, look: Look) -> None:
        """Load a model's versions. Raises LoadRefused; then nothing changed."""

    async def note(self, look: Look) -> None:
        """Show the state of a model that has nothing to load, such as why it is refused."""

    async def unload(self, name: str) -> None:
        """Unload a model because a request asked for it. Raises UnknownModel."""

    async def forget(self, name: str) -> None:
        """Unload a model whose folder was deleted."""


class Watcher:
    """Owns what was last seen in the repository and which models a request unloaded. Call it on the event loop.

    `begin` looks once; then `watch` is called again and again, as a background task. `load` and `unload` are requests
    to manage a model.
    """

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
        self._mirror = AsyncMirror(mirror or (Mirror(settings) if settings.is_store else None))
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
        """The state of every model at the last look: what to serve of it, or why not."""
        return [seen.look for seen in self._seen.values()]

    @property
    def unloaded(self) -> Collection[str]:
        """Names of the models that a request has unloaded; only a request loads them again."""
        return self._unloaded

    @property
    def problem(self) -> str:
        """Why the repository, or some models of a store, couldn't be read at the last look; otherwise empty."""
        return self._problem or "; ".join(self._mirror.missing.values())

    async def begin(self) -> None:
        """The first look: it sets `looks`, and the caller loads what they say. Earlier copies of a store are used
        at once; the store itself is asked by the next `watch`.
        """
        async with self._looking:
            self._is_behind = self._mirror.is_filled
            unavailable = "" if self._is_behind else await self._mirror.refresh()
            if (there := await self._list(unavailable)) is None:
                return
            for seen in await self._look_at(list(dict.fromkeys([*there, *self._only]))):
                self._log.seen(seen, _NOTHING)
                self._remember(seen)
                self._loaded[seen.look.name] = seen.due

    async def look(self, names: Collection[str] | None = None) -> list[str]:
        """Look at the repository, or only at the models in `names`; load what changed and unload what was deleted.
        Returns a line for each change. What can't be read or loaded is logged once and doesn't stop the rest.
        """
        done: list[str] = []
        async with self._looking:
            self._is_behind = False
            unavailable = await self._mirror.refresh(names or ())
            there = await self._list(unavailable)
            if there is None:
                return [self._problem]
            for seen in await self._look_at(there if names is None else [name for name in names if name in there]):
                done += await self._follow(seen)
            for name in [name for name in self._seen if name not in there and self._seen[name].there]:
                done += await self._forget(name)
        return done + ([unavailable] if unavailable else [])

    async def close(self) -> None:
        """Stop copying from the store."""
        await self._mirror.close(self._patience_s)

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
        """Load, or load again, a model as the repository has it now.

        Raises UnknownModel, or LoadRefused where any wanted version can't be served; then nothing changed. Where the
        store isn't available, the earlier copy is loaded.
        """
        if unavailable := await self._mirror.refresh([name]):
            log.warning("%s is loaded from the earlier copy: %s", name, unavailable)
        elif refusal := self._mirror.missing.get(name):
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
        """The models to look at; None where the repository can't be read. The problem, `unavailable` or that of
        reading the folder, is logged once.
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
        """Load one model's changes, or show them where there is nothing to load; returns lines as `look` does."""
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
