"""Catalog: loads, reloads and unloads the models of a repository. One owner of that state: the event loop.

One folder that can't be served never stops the others. A load has two steps, so that several processes can
change together or not at all: `prepare` loads beside what serves, `commit` swaps and drains the old, `abort`
drops the new.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from app.catalog.background import Background
from app.catalog.loading import Load, Loader, State, Version
from app.catalog.model_table import ModelTable
from app.catalog.repository import Repository
from app.catalog.traffic import Traffic
from app.errors import DeviceFailed, Draining, LoadRefused, UnknownModel, UnknownVersion
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


class Catalog:
    """The models of one repository. `start` begins to load them, `close` drains and drops them."""

    def __init__(self, settings: Settings, load: Load = load_model, metrics: Metrics | None = None) -> None:
        self._settings = settings
        self.metrics = metrics or Metrics()
        self.traffic = Traffic(settings.aliases)
        self.repository = Repository(settings)
        self._table = ModelTable()
        self.metrics.observe_with(self._table.observe)
        self._problem = ""  # of the whole repository
        self._tried = asyncio.Event()
        self._closing = False
        self._started = False
        self.background = Background()
        self._loader = Loader(settings, load, self.metrics, lambda: [*self._table.loaded(), *self.background.draining])

    @property
    def aliases(self) -> dict[str, str]:
        """Other names of models: alias -> model or model/version."""
        return self.traffic.aliases

    def names(self) -> list[str]:
        """Every model, whatever its state."""
        return self._table.names()

    def versions(self, name: str) -> list[Version]:
        """The versions of a model or alias, newest first. Raises UnknownModel."""
        return self._table.versions(self._follow(name)[0])

    def refusal(self, name: str) -> str:
        """Why no version of a model could even be tried; empty otherwise."""
        return self._table.refusal(name)

    def resolve(self, name: str | None = None, version: int | None = None) -> LoadedModel:
        """The model to predict with: the newest loaded version unless `version` or the alias names one;
        without a name, the default model.

        Raises UnknownModel, UnknownVersion, ModelRefused, ModelUnloaded, Loading or Draining.
        """
        if self._closing:
            raise Draining("the server is shutting down: try again")
        name, pinned = self._follow(name or self._default_name())
        version = version or pinned
        if version is not None and self._table.version(name, version) is None:
            tried = [known.number for known in self._table.versions(name)]
            raise UnknownVersion(self.repository.explain_unknown(name, version, tried))
        return self._table.choose(name, version)

    def explain_unready(self) -> str:
        """Why the server isn't ready; empty where it is."""
        if self._closing:
            return "the server is shutting down"
        if not self._tried.is_set():
            return "models are loading"
        missing = [name for name in self._settings.require if not self._table.serves(name)]
        if missing:
            return f"required models are not loaded: {', '.join(missing)}"
        if next(self._table.loaded(), None) is None:
            return self._problem or f"no model of the repository {self._settings.repository} is loaded"
        return ""

    def start(self, unloaded: Collection[str] = ()) -> None:
        """Read the repository and load what the settings ask for, in the background; nothing where it was
        started before. `unloaded` are models that somebody took out by hand.
        """
        if self._started:
            return
        self._started = True
        try:
            names = self.repository.names()
        except ArtifactError as error:
            log.error("%s", error.detail)
            self._problem = error.detail
            names = []
        for name in unloaded:
            self.repository.leave_alone(name)
        for name in names:
            state: State = "unloaded" if name in unloaded else "loading"
            self._table.replace(name, {n: Version(n, state) for n in self.repository.look(name)[-1:]})
        self.background.spawn(self._load_all([name for name in names if name not in unloaded]))

    async def wait_until_tried(self) -> None:
        """Wait until every model was tried once."""
        await self._tried.wait()

    async def wait_until_settled(self) -> None:
        """Wait until nothing is being loaded or drained."""
        await self.background.wait_until_settled()

    async def load(self, name: str) -> None:
        """Load what the repository holds of a model now, swap, and drain the old: also a reload.

        Raises UnknownModel, or LoadRefused where any wanted version can't be served; then nothing changed.
        """
        self.commit(await self.prepare(name))

    async def prepare(self, name: str) -> Change:
        """Load the wanted versions of a model beside those that serve. Raises as `load` does."""
        wanted = self.repository.strictly(self.repository.look(name))
        if not wanted:
            raise self.repository.explain_unloadable(name)
        if not self._table.serves(name):  # say that something comes
            self._table.replace(name, {number: Version(number, "loading") for number in wanted})
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
        self.background.retire(self._table.replace(change.name, change.fresh))
        self.repository.take_up(change.name)

    def abort(self, change: Change) -> None:
        """Drop what `prepare` loaded."""
        self.background.retire(change.fresh.values())
        for version in self._table.versions(change.name):
            if version.state == "loading":
                self._table.put(change.name, Version(version.number, "unloaded"))

    async def unload(self, name: str) -> None:
        """Take a model out of service once what was accepted is finished. Raises UnknownModel."""
        self._check_known(name)
        numbers = [version.number for version in self._table.versions(name)]
        self.background.retire(self._table.replace(name, {number: Version(number, "unloaded") for number in numbers}))
        self.repository.leave_alone(name)

    def forget(self, name: str) -> None:
        """Unload a model whose folder went away."""
        self.background.retire(self._table.remove(name))

    def find_changes(self) -> tuple[list[str], list[str]]:
        """Models to load because the repository changed since they were tried, and models that left it.

        Models that were unloaded by hand are left alone. Raises ArtifactError for an unreadable repository.
        """
        return self.repository.find_changes(self.names())

    async def close(self) -> None:
        """Stop loading, finish what was accepted, drop the models."""
        self._closing = True
        await self.background.stop()
        for model in [*self._table.loaded(), *self.background.draining]:
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
        wanted = self.repository.look(name)
        if not wanted:
            reason = self.repository.explain_unloadable(name).detail
            log.error("%s is refused: %s", name, reason)
            self._table.refuse(name, reason)
        for number in reversed(wanted):
            self._table.put(name, Version(number, "loading"))
            self._table.put(name, version := await self._load_version(name, number))
            if self._settings.versions == "latest" and version.state == "loaded":
                break

    async def _load_version(self, name: str, number: int) -> Version:
        return await self._loader.load(name, number, lambda failure: self._reload_failed(name, number, failure))

    def _reload_failed(self, name: str, number: int, failure: DeviceFailed) -> None:
        """A device failed under a model: it leaves readiness at once and is loaded again."""
        log.error("%s version %d: %s", name, number, failure.detail)
        broken = self._table.version(name, number)
        if broken is None or self._closing:
            return
        self._table.put(name, Version(number, "loading"))

        async def reload() -> None:
            if broken.model is not None:
                await broken.model.close()
            version = await self._load_version(name, number)
            if self._table.version(name, number) == Version(number, "loading"):
                self._table.put(name, version)
            else:  # a load or unload by hand came first
                self.background.retire([version])

        self.background.spawn(reload())

    def _note_refusals(self, name: str, refused: Sequence[Version]) -> None:
        """Keep why versions were refused, beside the models that go on serving."""
        for version in refused:
            serving = self._table.version(name, version.number)
            if serving is not None and serving.model is not None:
                version = replace(serving, reason=f"what is on disk now was refused: {version.reason}")
            self._table.put(name, version)

    def _follow(self, name: str) -> tuple[str, int | None]:
        """The model that a name or alias means, and the version that the alias pins. Raises UnknownModel."""
        name, pinned = self.traffic.follow(name)
        self._check_known(name)
        return name, pinned

    def _default_name(self) -> str:
        if name := self._settings.default_model or self._table.only_name():
            return name
        raise UnknownModel(
            f"no model is named and the setting default_model is empty: POST to /predict/MODEL; {self._known()}"
        )

    def _check_known(self, name: str) -> None:
        if name not in self._table:
            raise UnknownModel(f"there is no model {name[:80]!r}; {self._known()}")

    def _known(self) -> str:
        names = [*self.names(), *self.aliases]
        return f"there are {', '.join(names[:50])}" if names else self._problem or "the repository is empty"
