"""Catalog: which models and versions are served, loading or refused. One owner of that state: the event loop.

One folder that can't be served never stops the others: it is kept with the reason, for /models and for
whoever asks for it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from app.errors import (
    ArtifactError,
    DeviceFailed,
    Draining,
    Loading,
    ModelRefused,
    UnknownModel,
    UnknownVersion,
)
from app.model import LoadedModel, load_model
from app.repository import (
    choose_versions,
    explain_foreign,
    find_foreign_graph,
    list_models,
    list_versions,
)
from app.settings import Settings

log = logging.getLogger(__name__)

State = Literal["loaded", "loading", "refused"]
Load = Callable[..., Awaitable[LoadedModel]]


@dataclass(frozen=True)
class Version:
    """One version of a model, as it stands: `model` where it is loaded, `reason` where it is refused."""

    number: int
    state: State
    reason: str = ""
    model: LoadedModel | None = None


class Catalog:
    """The models of one repository. `start` begins to load them, `close` drains and drops them."""

    def __init__(self, settings: Settings, load: Load = load_model) -> None:
        self._settings = settings
        self._load_model = load
        self._models: dict[str, dict[int, Version]] = {}
        self._refusals: dict[str, str] = {}  # of whole models: no version could even be tried
        self._on_disk: dict[str, list[int]] = {}  # versions that the last look at the repository found
        self._problem = ""  # of the whole repository
        self._tried = asyncio.Event()
        self._closing = False
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Read the repository and load what the settings ask for, in the background."""
        try:
            names = list_models(self._settings.repository)
        except ArtifactError as error:
            log.error("%s", error.detail)
            self._problem = error.detail
            names = []
        if self._settings.load and not self._problem:
            names = list(dict.fromkeys(self._settings.load))
        for name in names:
            self._models[name] = {number: Version(number, "loading") for number in self._wanted_versions(name)[-1:]}
        self._spawn(self._load_all(names))

    async def wait_until_tried(self) -> None:
        """Wait until every model was tried once."""
        await self._tried.wait()

    async def wait_until_settled(self) -> None:
        """Wait until nothing is being loaded."""
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
            return self._problem or f"no model of the repository {self._settings.repository} could be loaded"
        return ""

    def names(self) -> list[str]:
        """Every model, whatever its state."""
        return sorted(self._models.keys() | self._refusals.keys())

    def versions(self, name: str) -> list[Version]:
        """The versions of a model, newest first. Raises UnknownModel."""
        self._check_known(name)
        return sorted(self._models.get(name, {}).values(), key=lambda version: -version.number)

    def refusal(self, name: str) -> str:
        """Why no version of a model could even be tried; empty otherwise."""
        return self._refusals.get(name, "")

    def resolve(self, name: str | None = None, version: int | None = None) -> LoadedModel:
        """The model to predict with: the newest loaded version unless `version` is given; without a name,
        the default model.

        Raises UnknownModel, UnknownVersion, ModelRefused, Loading or Draining.
        """
        if self._closing:
            raise Draining("the server is shutting down: try again")
        name = name or self._default_name()
        self._check_known(name)
        versions = self._models.get(name, {})
        if version is not None and version not in versions:
            raise UnknownVersion(self._explain_unknown_version(name, version))
        candidates = [versions[version]] if version is not None else self.versions(name)
        for candidate in candidates:
            if candidate.model is not None:
                return candidate.model
        if any(candidate.state == "loading" for candidate in candidates):
            raise Loading(f"{name} is being loaded: try again in a moment")
        reasons = [candidate.reason for candidate in candidates] or [self._refusals.get(name, "no version")]
        raise ModelRefused(f"{name} was refused: {reasons[0]}")

    async def close(self) -> None:
        """Stop loading, finish what was accepted, drop the models."""
        self._closing = True
        for task in list(self._tasks):
            task.cancel()
        for task in list(self._tasks):
            with suppress(asyncio.CancelledError):
                await task
        for model in self._loaded():
            await model.close()

    async def _load_all(self, names: Iterable[str]) -> None:
        for name in names:
            await self._load(name)
        self._tried.set()
        log.info("ready" if not (reason := self.explain_unready()) else f"not ready: {reason}")

    async def _load(self, name: str) -> None:
        """Load the wanted versions, newest first; `latest` goes back to an older one where the newest is
        refused.
        """
        folder = self._settings.repository / name
        wanted = self._wanted_versions(name)
        if not wanted:
            self._refuse_model(name, folder)
            return
        fallback = self._settings.versions == "latest"
        for number in reversed(wanted):
            version = await self._load_version(name, folder, number)
            if fallback and version.state == "loaded":
                break

    async def _load_version(self, name: str, folder: Path, number: int) -> Version:
        self._models[name][number] = Version(number, "loading")
        try:
            model = await self._load_model(
                folder / str(number),
                self._settings.of_model(name),
                on_device_failure=lambda failure: self._reload_failed(name, number, failure),
            )
        except ArtifactError as error:
            foreign = find_foreign_graph(folder)
            reason = error.detail if foreign is None else explain_foreign(foreign, self._settings.repository)
            log.error("%s version %d is refused: %s", name, number, reason)
            version = Version(number, "refused", reason)
        except Exception as error:  # a defect of ours in one model must not stop the others either
            log.exception("%s version %d is refused: an unexpected error", name, number)
            version = Version(number, "refused", f"an unexpected error ({type(error).__name__}): see the server's log")
        else:
            version = Version(number, "loaded", model=model)
        self._models[name][number] = version
        return version

    def _reload_failed(self, name: str, number: int, failure: DeviceFailed) -> None:
        """A device failed under a model: it leaves readiness at once and is loaded again."""
        log.error("%s version %d: %s", name, number, failure.detail)
        broken = self._models[name][number].model
        self._models[name][number] = Version(number, "loading")

        async def reload() -> None:
            if broken is not None:
                await broken.close()
            await self._load_version(name, self._settings.repository / name, number)

        if not self._closing:
            self._spawn(reload())

    def _wanted_versions(self, name: str) -> list[int]:
        """Versions to try, oldest first. `latest` keeps the older ones as a way back."""
        available = self._on_disk[name] = list_versions(self._settings.repository / name)
        wanted = self._settings.versions
        return available if wanted == "latest" else choose_versions(available, wanted)

    def _refuse_model(self, name: str, folder: Path) -> None:
        foreign = find_foreign_graph(folder)
        if foreign is not None:
            reason = explain_foreign(foreign, self._settings.repository)
        elif self._on_disk[name]:
            reason = f"it has none of the versions that the setting versions={self._settings.versions} asks for"
        else:
            reason = f"{folder} holds no version folder (a whole number)"
        log.error("%s is refused: %s", name, reason)
        self._models.pop(name, None)
        self._refusals[name] = reason

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _loaded(self) -> list[LoadedModel]:
        return [v.model for versions in self._models.values() for v in versions.values() if v.model is not None]

    def _serving(self, name: str) -> bool:
        return any(version.model is not None for version in self._models.get(name, {}).values())

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
        names = self.names()
        return f"there are {', '.join(names[:50])}" if names else self._problem or "the repository is empty"

    def _explain_unknown_version(self, name: str, version: int) -> str:
        loaded = ", ".join(str(known.number) for known in self.versions(name)) or "none"
        if version in self._on_disk.get(name, ()):
            return (
                f"{name} version {version} is in the repository but the setting "
                f"versions={self._settings.versions} "
                f"doesn't load it; tried: {loaded}"
            )
        return f"{name} has no version {version}; there are: {loaded}"
