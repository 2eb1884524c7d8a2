"""ModelTable: which models and versions there are, and in which state. The one owner of that; the catalog changes it.

One folder that can't be served is kept with its reason, for /models and for whoever asks for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from app.catalog.loading import Version
from app.errors import Loading, ModelRefused, ModelUnloaded
from app.inference.model import LoadedModel
from app.observe.metrics import Labels


class ModelTable:
    def __init__(self) -> None:
        self._models: dict[str, dict[int, Version]] = {}
        self._refusals: dict[str, str] = {}  # of whole models: no version could even be tried

    def __contains__(self, name: str) -> bool:
        return name in self._models or name in self._refusals

    def names(self) -> list[str]:
        """Every model, whatever its state."""
        return sorted(self._models.keys() | self._refusals.keys())

    def only_name(self) -> str | None:
        """The name of the only model; None where there are others."""
        return next(iter(self._models)) if len(self._models) == 1 else None

    def versions(self, name: str) -> list[Version]:
        """Of one model, newest first."""
        return sorted(self._models.get(name, {}).values(), key=lambda version: -version.number)

    def version(self, name: str, number: int) -> Version | None:
        return self._models.get(name, {}).get(number)

    def refusal(self, name: str) -> str:
        """Why no version of a model could even be tried; empty otherwise."""
        return self._refusals.get(name, "")

    def serves(self, name: str) -> bool:
        """Whether any version is loaded."""
        return any(version.model is not None for version in self._models.get(name, {}).values())

    def loaded(self) -> Iterator[LoadedModel]:
        """Every version that serves."""
        for versions in self._models.values():
            yield from (version.model for version in versions.values() if version.model is not None)

    def choose(self, name: str, number: int | None) -> LoadedModel:
        """What serves version `number` of a model that is here; without one, the newest that is loaded.

        Raises ModelRefused, ModelUnloaded or Loading.
        """
        versions = self._models.get(name, {})
        if number is None and len(versions) == 1:
            (only,) = versions.values()
            if only.model is not None:
                return only.model
        candidates = [versions[number]] if number is not None else self.versions(name)
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

    def put(self, name: str, version: Version) -> None:
        """One version, in whatever state, in the place of what had its number."""
        self._models.setdefault(name, {})[version.number] = version

    def replace(self, name: str, versions: Mapping[int, Version]) -> list[Version]:
        """These versions alone from now on, and no refusal of the whole model; gives back those before."""
        before = list(self._models.get(name, {}).values())
        self._models[name] = dict(versions)
        self._refusals.pop(name, None)
        return before

    def refuse(self, name: str, reason: str) -> None:
        """No version of the model could even be tried."""
        self._models.pop(name, None)
        self._refusals[name] = reason

    def remove(self, name: str) -> list[Version]:
        """The model is gone; gives back its versions."""
        self._refusals.pop(name, None)
        return list(self._models.pop(name, {}).values())

    def observe(self) -> Iterable[tuple[str, Labels, list[float]]]:
        """Gauges of what is loaded."""
        for model in self.loaded():
            labels = (model.name, str(model.version))
            kinds = (model.device.kind, model.card.precision, model.card.network.name)
            yield "convserve_queue_rows", labels, [model.batcher.queue_rows]
            yield "convserve_queue_limit_rows", labels, [model.batcher.max_queue_rows]
            yield "convserve_model_memory_bytes", labels, [model.memory_bytes]
            yield "convserve_sessions", (*labels, *kinds), [len(model.devices)]
