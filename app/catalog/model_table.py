"""Shelf: which models and versions there are, in which state, and what a name means. Knows nothing of how they came.

One folder that can't be served is kept with its reason, for /models and for whoever asks for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from app.catalog.loading import Version
from app.catalog.repository import Repository
from app.errors import Draining, Loading, ModelRefused, ModelUnloaded, UnknownModel, UnknownVersion
from app.inference.model import LoadedModel
from app.observe.metrics import Labels
from app.settings import Settings


class Shelf:
    """The read side of the catalog, which fills it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._repository = Repository(settings)
        self._models: dict[str, dict[int, Version]] = {}
        self._refusals: dict[str, str] = {}  # of whole models: no version could even be tried
        self._problem = ""  # of the whole repository
        self._tried = asyncio.Event()
        self._closing = False
        self.aliases: dict[str, str] = dict(settings.aliases)
        """Other names of models: alias -> model or model/version. An alias goes before a model of its name."""

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
        if version is None and len(versions) == 1:
            (only,) = versions.values()
            if only.model is not None:
                return only.model
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
