"""Catalog: loads, reloads and unloads models as app.catalog.watch says. Call it on the event loop; it alone changes its
table of models.

One folder that can't be served never stops the others. A load has two steps, so that several processes can
change together or not at all: `prepare` loads beside what serves, `commit` swaps and drains the old, `abort`
drops the new.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from app.aliases import Meaning
from app.catalog.background import Background
from app.catalog.loading import Load, Loader, State, Version
from app.catalog.model_table import ModelTable
from app.catalog.repository import Look, strictly
from app.catalog.traffic.disagreements import Disagreements
from app.catalog.traffic.image_folder import ImageFolder
from app.catalog.traffic.images import ImagesInMemory
from app.catalog.traffic.traffic import Traffic
from app.errors import DeviceFailed, LoadRefused
from app.inference.model import LoadedModel, load_model
from app.machine import count_cores
from app.observe.families import Labels
from app.observe.metrics import Metrics
from app.settings import Settings

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Change:
    """The loaded versions of one model that will replace those that serve, and the versions that stay."""

    look: Look
    fresh: dict[int, Version]
    kept: list[int]


class Catalog:
    """The models of one process. `start` begins to load them, `close` drains and drops them."""

    def __init__(self, settings: Settings, load: Load = load_model, metrics: Metrics | None = None) -> None:
        self._settings = settings
        self.metrics = metrics or Metrics()
        self.metrics.observe_with(self._observe)
        self.traffic = Traffic(settings.aliases, settings.shadows)
        folder = settings.shadow_images
        self.disagreements = Disagreements(ImagesInMemory() if folder is None else ImageFolder(folder))
        self._table = ModelTable(settings, self.traffic)
        self.resolve = self._table.resolve  # every request calls it: no call between
        self.find, self.default_name = self._table.find, self._table.default_name
        self._draining: list[LoadedModel] = []
        self._followers: list[Callable[[], None]] = []
        self._started = False
        self._closing = False
        self._tried = asyncio.Event()
        self._background = Background()
        self._loader = Loader(settings, load, self.metrics, self._in_memory)

    @property
    def aliases(self) -> dict[str, Meaning]:
        """Other names of models, and what each means."""
        return self.traffic.aliases

    def follow_traffic(self) -> None:
        """Aliases or shadows have changed: drop what no shadow may keep any more."""
        self.disagreements.follow(self.traffic.shadows)
        self._tell_followers()

    def call_when_changed(self, follow: Callable[[], None]) -> None:
        """Call `follow` whenever traffic has changed or models serve no longer: whoever keeps any forgets it."""
        self._followers.append(follow)

    def _tell_followers(self) -> None:
        for follow in self._followers:
            follow()

    def names(self) -> list[str]:
        """Every model, whatever its state."""
        return self._table.names()

    def versions(self, name: str) -> list[Version]:
        """The versions of a model or alias, newest first. Raises UnknownModel."""
        return self._table.versions(name)

    def refusal(self, name: str) -> str:
        """Why a model has no version that could be tried; empty otherwise."""
        return self._table.refusal(name)

    def explain_unready(self) -> str:
        """Why the server isn't ready; empty where it is."""
        if self._closing:
            return "the server is shutting down"
        if not self._tried.is_set():
            return "models are loading"
        missing = [name for name in self._settings.require if not self._table.serves(name)]
        if missing:
            return f"required models are not loaded: {', '.join(missing)}"
        if not self._table.loaded():
            return self._table.problem or f"no model of the repository {self._settings.repository} is loaded"
        return ""

    def start(self, looks: Sequence[Look], unloaded: Collection[str] = (), problem: str = "") -> None:
        """Start to load the models of `looks` in the background, except those that a request unloaded. `problem` says
        why the repository couldn't be read. Does nothing if it was started before.
        """
        if self._started:
            return
        self._started = True
        self.disagreements.follow(self.traffic.shadows)
        self._table.set_problem(problem)
        for look in looks:
            state: State = "unloaded" if look.name in unloaded else "loading"
            if look.wanted:
                self._table.put(look.name, Version(look.wanted[-1], state))
            self._table.note(look)
        self._background.start("loading", self._load_all([look for look in looks if look.name not in unloaded]))

    def loaded(self) -> list[LoadedModel]:
        """Every version that serves."""
        return self._table.loaded()

    def share(self, settings: Settings) -> None:
        """Use these settings for further loads: other processes have a share of the machine."""
        self._loader.share(settings)

    @property
    def cores(self) -> int:
        """The CPU cores that are this process's share."""
        return self._loader.threads or count_cores()

    async def wait_until_tried(self) -> None:
        """Wait until every model was tried once."""
        await self._tried.wait()

    async def wait_until_settled(self) -> None:
        """Wait until nothing is being loaded or drained."""
        await self._background.settle()

    async def load(self, look: Look) -> None:
        """Load the versions that `look` found of a model, or load them again unless they are unchanged; then they take
        the place of the versions that serve, which finish what they accepted.

        Raises LoadRefused where any wanted version can't be served; then nothing changed.
        """
        self.commit(await self.prepare(look))

    async def prepare(self, look: Look) -> Change:
        """Load the wanted versions of a model beside those that serve. Raises as `load` does."""
        name, wanted = look.name, strictly(look.wanted, self._settings.versions)
        kept = [number for number in wanted if number in look.unchanged and self._serves(name, number)]
        if not self._table.serves(name):  # say that something comes
            self._table.replace(name, {number: Version(number, "loading") for number in wanted})
        change = Change(look, {}, kept)
        refused: list[Version] = []
        try:
            for number in wanted:
                if number in kept:
                    continue
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
            self._table.note(look)
            for version in refused:
                self._table.note_refusal(name, version)
            raise LoadRefused(
                "; ".join(f"{name} version {version.number} is refused: {version.reason}" for version in refused)
            )
        return change

    def commit(self, change: Change) -> None:
        """Swap: requests from now on get the fresh versions, those accepted before finish on the old ones. A version
        that is being written again goes on serving, as does one that is unchanged.
        """
        name = change.look.name
        arriving = dict(change.look.arriving) if self._settings.versions != "latest" else {}
        kept = {n: version for n in arriving if (version := self._table.version(name, n)) and version.model}
        for number in change.kept:  # whatever became of it meanwhile: its device may have failed
            if (version := self._table.version(name, number)) is not None:
                kept[number] = replace(version, reason="") if version.reason else version
        old = self._table.replace(name, {**change.fresh, **kept})
        self._table.note(change.look)
        self._retire(version for version in old if version.number not in kept)

    def _serves(self, name: str, number: int) -> bool:
        return (version := self._table.version(name, number)) is not None and version.model is not None

    def abort(self, change: Change) -> None:
        """Drop what `prepare` loaded."""
        self._retire(change.fresh.values())
        name = change.look.name
        for number in {*strictly(change.look.wanted, self._settings.versions)} - {*change.kept}:
            if (version := self._table.version(name, number)) is not None and version.state == "loading":
                self._table.put(name, Version(number, "unloaded"))

    def note(self, look: Look) -> None:
        """Show the state of a model that has nothing to load."""
        self._table.note(look)

    def unload(self, name: str) -> None:
        """Take a model out of service once what was accepted is finished. Raises UnknownModel."""
        self._table.check_known(name)
        self._retire(self._table.unload(name))

    def forget(self, name: str) -> None:
        """Unload a model whose folder went away."""
        self._retire(self._table.drop(name))

    async def close(self) -> None:
        """Stop loading, finish what was accepted, drop the models."""
        self._closing = True
        self._table.close()
        await self._background.close()
        for model in self._in_memory():
            await model.close()
        await self._loader.close()

    async def _load_all(self, looks: Iterable[Look]) -> None:
        try:
            for look in looks:
                await self._load_at_start(look)
        finally:
            self._tried.set()

    async def _load_at_start(self, look: Look) -> None:
        """Load the wanted versions, newest first; `latest` goes back to an older one where the newest is refused."""
        for number in reversed(look.wanted):
            self._table.put(look.name, Version(number, "loading"))
            version = await self._load_version(look.name, number)
            self._table.put(look.name, version)
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
        loading = Version(number, "loading")
        self._table.put(name, loading)
        self._tell_followers()

        async def reload() -> None:
            if broken.model is not None:
                await broken.model.close()
            version = await self._load_version(name, number)
            if self._table.version(name, number) is loading:
                self._table.put(name, version)
            else:  # a load or unload by hand came first
                self._retire([version])

        self._background.start(f"loading {name} version {number} again", reload())

    def _in_memory(self) -> list[LoadedModel]:
        return [*self._table.loaded(), *self._draining]

    def _retire(self, versions: Iterable[Version]) -> None:
        """Drain models in the background: they hold memory until the last accepted row is answered."""
        for model in [version.model for version in versions if version.model is not None]:
            self._draining.append(model)
            self._background.start(f"draining {model.name} version {model.version}", self._drain(model))
        self._tell_followers()

    async def _drain(self, model: LoadedModel) -> None:
        await model.close()
        self._draining.remove(model)

    def _observe(self) -> Iterable[tuple[str, Labels, list[float]]]:
        """Gauges of what is loaded."""
        for model in self._table.loaded():
            labels = (model.name, str(model.version))
            kinds = (model.device.kind, model.card.precision, model.card.network.name)
            yield "convserve_queue_rows", labels, [model.batcher.queue_rows]
            yield "convserve_queue_limit_rows", labels, [model.batcher.max_queue_rows]
            yield "convserve_model_memory_bytes", labels, [model.memory_bytes]
            yield "convserve_sessions", (*labels, *kinds), [len(model.devices)]
