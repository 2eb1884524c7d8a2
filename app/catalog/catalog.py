"""Catalog: loads, reloads and unloads the models of a repository. One owner of that state: the event loop.

One folder that can't be served never stops the others. A load has two steps, so that several processes can
change together or not at all: `prepare` loads beside what serves, `commit` swaps and drains the old, `abort`
drops the new.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Coroutine, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from app.catalog.loading import Load, Loader, State, Version
from app.catalog.model_table import Shelf
from app.errors import DeviceFailed, LoadRefused
from app.inference.model import LoadedModel, load_model
from app.observe.metrics import Metrics
from app.settings import Settings
from artifact.errors import ArtifactError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Change:
    """Versions of one model that are ready to take over."""

    name: str
    fresh: dict[int, Version]


class Catalog(Shelf):
    """The models of one repository. `start` begins to load them, `close` drains and drops them."""

    def __init__(self, settings: Settings, load: Load = load_model, metrics: Metrics | None = None) -> None:
        super().__init__(settings)
        self.metrics = metrics or Metrics()
        self.metrics.observe_with(self._observe)
        self._unloaded: set[str] = set()  # by hand: nothing but a load by hand brings them back
        self._draining: list[LoadedModel] = []
        self._started = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._loader = Loader(settings, load, self.metrics, lambda: [*self._loaded(), *self._draining])

    def start(self, unloaded: Collection[str] = ()) -> None:
        """Read the repository and load what the settings ask for, in the background; nothing where it was
        started before. `unloaded` are models that somebody took out by hand.
        """
        if self._started:
            return
        self._started = True
        try:
            names = self._repository.names()
        except ArtifactError as error:
            log.error("%s", error.detail)
            self._problem = error.detail
            names = []
        self._unloaded = set(unloaded)
        for name in names:
            state: State = "unloaded" if name in self._unloaded else "loading"
            self._models[name] = {n: Version(n, state) for n in self._repository.look(name)[-1:]}
        self._spawn(self._load_all([name for name in names if name not in self._unloaded]))

    async def wait_until_tried(self) -> None:
        """Wait until every model was tried once."""
        await self._tried.wait()

    async def wait_until_settled(self) -> None:
        """Wait until nothing is being loaded or drained."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def load(self, name: str) -> None:
        """Load what the repository holds of a model now, swap, and drain the old: also a reload.

        Raises UnknownModel, or LoadRefused where any wanted version can't be served; then nothing changed.
        """
        self.commit(await self.prepare(name))

    async def prepare(self, name: str) -> Change:
        """Load the wanted versions of a model beside those that serve. Raises as `load` does."""
        wanted = self._repository.strictly(self._repository.look(name))
        if not wanted:
            raise self._repository.explain_unloadable(name)
        known = self._models.setdefault(name, {})
        if not any(version.model for version in known.values()):  # nothing serves: say that something comes
            self._models[name] = known = {number: Version(number, "loading") for number in wanted}
        change = Change(name, {})
        refused: list[Version] = []
        try:
            for number in wanted:
                version = await self._load_version(name, number)
                if version.model is None:
                    refused.append(version)
                else:
                    change.fresh[number] = version
        except asyncio.CancelledError:
            self.abort(change)
            raise
        if refused:
            self.abort(change)
            self._note_refusals(name, refused)
            raise LoadRefused(
                "; ".join(f"{name} version {version.number} is refused: {version.reason}" for version in refused)
            )
        return change

    def commit(self, change: Change) -> None:
        """Swap: requests from now on get the fresh versions, those accepted before finish on the old ones."""
        old = self._models.get(change.name, {})
        self._models[change.name] = dict(change.fresh)
        self._refusals.pop(change.name, None)
        self._unloaded.discard(change.name)
        self._retire(old.values())

    def abort(self, change: Change) -> None:
        """Drop what `prepare` loaded."""
        self._retire(change.fresh.values())
        known = self._models.get(change.name, {})
        for number, version in known.items():
            if version.state == "loading":
                known[number] = Version(number, "unloaded")

    async def unload(self, name: str) -> None:
        """Take a model out of service once what was accepted is finished. Raises UnknownModel."""
        self._check_known(name)
        old = self._models.get(name, {})
        self._models[name] = {number: Version(number, "unloaded") for number in old}
        self._unloaded.add(name)
        self._retire(old.values())

    def forget(self, name: str) -> None:
        """Unload a model whose folder went away."""
        self._retire(self._models.pop(name, {}).values())
        self._refusals.pop(name, None)

    def find_changes(self) -> tuple[list[str], list[str]]:
        """Models to load because the repository changed since they were tried, and models that left it.

        Models that were unloaded by hand are left alone. Raises ArtifactError for an unreadable repository.
        """
        return self._repository.find_changes(self.names(), self._unloaded)

    async def close(self) -> None:
        """Stop loading, finish what was accepted, drop the models."""
        self._closing = True
        for task in list(self._tasks):
            task.cancel()
        for task in list(self._tasks):
            with suppress(asyncio.CancelledError):
                await task
        for model in [*self._loaded(), *self._draining]:
            await model.close()

    async def _load_all(self, names: Iterable[str]) -> None:
        for name in names:
            await self._load_at_start(name)
        self._tried.set()
        log.info("ready" if not (reason := self.explain_unready()) else f"not ready: {reason}")

    async def _load_at_start(self, name: str) -> None:
        """Load the wanted versions, newest first; `latest` goes back to an older one where the newest is
        refused.
        """
        wanted = self._repository.look(name)
        if not wanted:
            self._refusals[name] = self._repository.explain_unloadable(name).detail
            log.error("%s is refused: %s", name, self._refusals[name])
            self._models.pop(name, None)
        for number in reversed(wanted):
            self._models[name][number] = Version(number, "loading")
            self._models[name][number] = version = await self._load_version(name, number)
            if self._settings.versions == "latest" and version.state == "loaded":
                break

    async def _load_version(self, name: str, number: int) -> Version:
        return await self._loader.load(name, number, lambda failure: self._reload_failed(name, number, failure))

    def _reload_failed(self, name: str, number: int, failure: DeviceFailed) -> None:
        """A device failed under a model: it leaves readiness at once and is loaded again."""
        log.error("%s version %d: %s", name, number, failure.detail)
        broken = self._models.get(name, {}).get(number)
        if broken is None or self._closing:
            return
        self._models[name][number] = Version(number, "loading")

        async def reload() -> None:
            if broken.model is not None:
                await broken.model.close()
            version = await self._load_version(name, number)
            if self._models.get(name, {}).get(number) == Version(number, "loading"):
                self._models[name][number] = version
            else:  # a load or unload by hand came first
                self._retire([version])

        self._spawn(reload())

    def _note_refusals(self, name: str, refused: Sequence[Version]) -> None:
        """Keep why versions were refused, beside the models that go on serving."""
        known = self._models.setdefault(name, {})
        for version in refused:
            serving = known.get(version.number)
            if serving is not None and serving.model is not None:
                known[version.number] = replace(serving, reason=f"what is on disk now was refused: {version.reason}")
            else:
                known[version.number] = version

    def _retire(self, versions: Iterable[Version]) -> None:
        """Drain models in the background: they hold memory until the last accepted row is answered."""
        for model in [version.model for version in versions if version.model is not None]:
            self._draining.append(model)
            self._spawn(self._drain(model))

    async def _drain(self, model: LoadedModel) -> None:
        await model.close()
        self._draining.remove(model)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
