"""Catalog: which models and versions are served, loading or refused. One owner of that state: the event loop.

One folder that can't be served never stops the others: it is kept with the reason, for /models and for
whoever asks for it. A load has two steps, so that several processes can change together or not at all:
`prepare` loads beside what serves, `commit` swaps and drains the old, `abort` drops the new.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Coroutine, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from app.errors import (
    ArtifactError,
    DeviceFailed,
    Draining,
    Loading,
    LoadRefused,
    ModelRefused,
    ModelUnloaded,
    UnknownModel,
    UnknownVersion,
)
from app.loading import Load, Loader, State, Version
from app.metrics import Labels, Metrics
from app.model import LoadedModel, load_model
from app.repository import Repository
from app.settings import Settings

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
        self.metrics.observe_with(self._observe)
        self._models: dict[str, dict[int, Version]] = {}
        self._refusals: dict[str, str] = {}  # of whole models: no version could even be tried
        self._repository = Repository(settings)
        self._unloaded: set[str] = set()  # by hand: nothing but a load by hand brings them back
        self._draining: list[LoadedModel] = []
        self._problem = ""  # of the whole repository
        self._started = False
        self._tried = asyncio.Event()
        self._closing = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._loader = Loader(settings, load, self.metrics, lambda: [*self._loaded(), *self._draining])
        self.aliases: dict[str, str] = dict(settings.aliases)
        """Other names of models: alias -> model or model/version. An alias goes before a model of its name."""

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

    def explain_unready(self) -> str:
        """Why the server isn't ready; empty where it is."""
        if self._closing:
            return "the server is shutting down"
        if not self._tried.is_set():
            return "models are loading"
        missing = [name for name in self._settings.require if not self._serving(name)]
        if missing:
            return f"required models are not loaded: {', '.join(missing)}"
        if not any(self._serving(name) for name in self._models):
            return self._problem or f"no model of the repository {self._settings.repository} is loaded"
        return ""

    def names(self) -> list[str]:
        """Every model, whatever its state."""
        return sorted(self._models.keys() | self._refusals.keys())

    def versions(self, name: str) -> list[Version]:
        """The versions of a model or alias, newest first. Raises UnknownModel."""
        name, _ = self._follow(name)
        return sorted(self._models.get(name, {}).values(), key=lambda version: -version.number)

    def refusal(self, name: str) -> str:
        """Why no version of a model could even be tried; empty otherwise."""
        return self._refusals.get(name, "")

    def resolve(self, name: str | None = None, version: int | None = None) -> LoadedModel:
        """The model to predict with: the newest loaded version unless `version` or the alias names one;
        without a name, the default model.

        Raises UnknownModel, UnknownVersion, ModelRefused, ModelUnloaded, Loading or Draining.
        """
        if self._closing:
            raise Draining("the server is shutting down: try again")
        name, pinned = self._follow(name or self._default_name())
        version = version or pinned
        versions = self._models.get(name, {})
        if version is not None and version not in versions:
            raise UnknownVersion(self._explain_unknown_version(name, version))
        candidates = [versions[version]] if version is not None else self.versions(name)
        for candidate in candidates:
            if candidate.model is not None:
                return candidate.model
        states = {candidate.state for candidate in candidates}
        if "loading" in states:
            raise Loading(f"{name} is being loaded: try again in a moment")
        if "unloaded" in states:
            raise ModelUnloaded(f"{name} was unloaded: POST /v2/repository/models/{name}/load brings it back")
        reasons = [candidate.reason for candidate in candidates] or [self._refusals.get(name, "no version")]
        raise ModelRefused(f"{name} was refused: {reasons[0]}")

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

    def _loaded(self) -> list[LoadedModel]:
        return [v.model for versions in self._models.values() for v in versions.values() if v.model is not None]

    def _serving(self, name: str) -> bool:
        return any(version.model is not None for version in self._models.get(name, {}).values())

    def _follow(self, name: str) -> tuple[str, int | None]:
        """The model that a name or alias means, and the version that the alias pins. Raises UnknownModel."""
        name, _, pinned = self.aliases.get(name, name).partition("/")
        self._check_known(name)
        return name, int(pinned) if pinned else None

    def _default_name(self) -> str:
        if self._settings.default_model:
            return self._settings.default_model
        if len(self._models) == 1:
            return next(iter(self._models))
        raise UnknownModel(
            f"no model is named and the setting default_model is empty: POST to /predict/MODEL; {self._known()}"
        )

    def _check_known(self, name: str) -> None:
        if name not in self._models and name not in self._refusals:
            raise UnknownModel(f"there is no model {name[:80]!r}; {self._known()}")

    def _known(self) -> str:
        names = [*self.names(), *self.aliases]
        return f"there are {', '.join(names[:50])}" if names else self._problem or "the repository is empty"

    def _explain_unknown_version(self, name: str, version: int) -> str:
        loaded = ", ".join(str(known.number) for known in self.versions(name)) or "none"
        if self._repository.holds(name, version):
            return (
                f"{name} version {version} is in the repository but the setting "
                f"versions={self._settings.versions} "
                f"doesn't load it; tried: {loaded}"
            )
        return f"{name} has no version {version}; there are: {loaded}"

    def _observe(self) -> Iterable[tuple[str, Labels, list[float]]]:
        """Gauges of what is loaded."""
        for model in self._loaded():
            labels = (model.name, str(model.version))
            kinds = (model.device.kind, model.card.precision, model.card.network.name)
            yield "convserve_queue_rows", labels, [model.batcher.queue_rows]
            yield "convserve_queue_limit_rows", labels, [model.batcher.max_queue_rows]
            yield "convserve_model_memory_bytes", labels, [model.memory_bytes]
            yield "convserve_sessions", (*labels, *kinds), [len(model.devices)]
