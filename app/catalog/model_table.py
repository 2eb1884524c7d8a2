"""ModelTable: the models and versions, each with its state, and which of them a request means. Only the catalog changes
it.

A version that can't be served has an entry, too, with the reason: /models and requests for it show that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from app.catalog.loading import Version
from app.catalog.repository import Look
from app.catalog.traffic.traffic import Traffic
from app.errors import Draining, InvalidParameter, Loading, ModelRefused, ModelUnloaded, UnknownModel, UnknownVersion
from app.inference.model import LoadedModel
from app.settings import Settings

_NOT_REPLACED = "what is on disk now was refused: "
_BEING_WRITTEN = "what is on disk now is being copied: "


class ModelTable:
    def __init__(self, settings: Settings, traffic: Traffic) -> None:
        self._settings = settings
        self._traffic = traffic
        self._models: dict[str, dict[int, Version]] = {}
        self._available: dict[str, tuple[int, ...]] = {}  # on disk, loaded or not
        self._refusals: dict[str, str] = {}  # of whole models: no version could even be tried
        self._problem = ""  # of the whole repository
        self._closing = False

    def names(self) -> list[str]:
        """Every model, whatever its state."""
        return sorted(self._models.keys() | self._refusals.keys())

    def versions(self, name: str) -> list[Version]:
        """The versions of a model or alias, newest first. Raises UnknownModel."""
        name, _ = self._follow(name)
        return self._newest_first(name)

    def version(self, name: str, number: int) -> Version | None:
        return self._models.get(name, {}).get(number)

    def refusal(self, name: str) -> str:
        """Why a model has no version that could be tried; empty otherwise."""
        return self._refusals.get(name, "")

    @property
    def problem(self) -> str:
        """Why the repository couldn't be read; empty otherwise."""
        return self._problem

    def serves(self, name: str) -> bool:
        return any(version.model is not None for version in self._models.get(name, {}).values())

    def loaded(self) -> list[LoadedModel]:
        return [v.model for versions in self._models.values() for v in versions.values() if v.model is not None]

    def resolve(self, name: str | None = None, version: int | None = None, slot: int | None = None) -> LoadedModel:
        """The model to predict with: the newest loaded version unless `version` or the alias names one;
        without a name, the default model. Of a cascade it is the first, of a weighted alias the one of `slot`, or the
        one with the largest weight.

        Raises UnknownModel, UnknownVersion, ModelRefused, ModelUnloaded, Loading or Draining, and InvalidParameter for
        a version of an alias that means several models.
        """
        if self._closing:
            raise Draining("the server is shutting down: try again")
        asked = name or self.default_name()
        name, pinned = self._traffic.follow(asked, slot)
        if version is not None and asked in self._traffic.several:
            raise InvalidParameter(
                f"version is {version}, but {asked} means several models ({self._traffic.several[asked]}): leave it "
                "out, and pin versions in the alias (NAME/VERSION)"
            )
        version = version or pinned
        versions = self._models.get(name, {})
        if version is None and len(versions) == 1:
            (only,) = versions.values()
            if only.model is not None:
                return only.model
        return self.find(name, version)

    def find(self, name: str, version: int | None) -> LoadedModel:
        """The model of this very name, aliases aside: its newest loaded version unless `version` names one. Raises as
        `resolve` does.
        """
        if self._closing:
            raise Draining("the server is shutting down: try again")
        versions = self._models.get(name, {})
        self.check_known(name)
        if version is not None and version not in versions:
            raise UnknownVersion(self._explain_unknown_version(name, version))
        candidates = [versions[version]] if version is not None else self._newest_first(name)
        for candidate in candidates:
            if candidate.model is not None:
                return candidate.model
        states = {candidate.state for candidate in candidates}
        if "loading" in states:
            raise Loading(f"{name} is being loaded: try again in a moment")
        if "unloaded" in states:
            raise ModelUnloaded(f"{name} was unloaded: POST /v2/repository/models/{name}/load loads it again")
        if "arriving" in states:
            raise Loading(f"{name} is being copied: {candidates[0].reason}: try again in a moment")
        reasons = [candidate.reason for candidate in candidates] or [self._refusals.get(name, "no version")]
        raise ModelRefused(f"{name} was refused: {reasons[0]}")

    def check_known(self, name: str) -> None:
        """Raises UnknownModel."""
        if name not in self._models and name not in self._refusals:
            raise UnknownModel(f"there is no model {name[:80]!r}; {self._known()}")

    def set_problem(self, problem: str) -> None:
        self._problem = problem

    def close(self) -> None:
        """From now on every name is refused: the server shuts down."""
        self._closing = True

    def put(self, name: str, version: Version) -> None:
        """One version as it stands now."""
        self._models.setdefault(name, {})[version.number] = version

    def replace(self, name: str, versions: Mapping[int, Version]) -> list[Version]:
        """Set all versions of a model; returns those that were there before."""
        before = self._models.get(name, {})
        self._models[name] = dict(versions)
        return list(before.values())

    def unload(self, name: str) -> list[Version]:
        """Take every version of a model out of service; returns those that were there."""
        return self.replace(name, {number: Version(number, "unloaded") for number in self._models.get(name, {})})

    def drop(self, name: str) -> list[Version]:
        """Forget a model that left the repository; returns the versions that were there."""
        self._refusals.pop(name, None)
        self._available.pop(name, None)
        return list(self._models.pop(name, {}).values())

    def note(self, look: Look) -> None:
        """What is on disk now, beside what serves."""
        self._available[look.name] = look.available
        if look.reason:
            self._refusals[look.name] = look.reason
        else:
            self._refusals.pop(look.name, None)
        arriving = dict(look.arriving)
        known = self._models.get(look.name, {})
        for number, version in list(known.items()):
            if number not in arriving and version.state == "arriving":
                del known[number]
            elif number not in arriving and version.reason.startswith(_BEING_WRITTEN):
                known[number] = replace(version, reason="")
        for number, missing in arriving.items():
            self._set_beside(look.name, Version(number, "arriving", f"it lacks {missing}"), _BEING_WRITTEN)

    def note_refusal(self, name: str, refused: Version) -> None:
        """Why a version was refused, beside the model that goes on serving, if any."""
        self._set_beside(name, refused, _NOT_REPLACED)

    def _set_beside(self, name: str, version: Version, said: str) -> None:
        serving = self.version(name, version.number)
        if serving is not None and serving.model is not None:
            version = replace(serving, reason=f"{said}{version.reason}")
        self.put(name, version)

    def _follow(self, name: str) -> tuple[str, int | None]:
        """The model that a name or alias means, and the version that the alias pins. Raises UnknownModel."""
        model, pinned = self._traffic.follow(name)
        self.check_known(model)
        return model, pinned

    def _newest_first(self, name: str) -> list[Version]:
        return sorted(self._models.get(name, {}).values(), key=lambda version: -version.number)

    def default_name(self) -> str:
        """What a request without a name means. Raises UnknownModel."""
        if self._settings.default_model:
            return self._settings.default_model
        if len(self._models) == 1:
            return next(iter(self._models))
        raise UnknownModel(
            f"no model is named and the setting default_model is empty: POST to /predict/MODEL; {self._known()}"
        )

    def _known(self) -> str:
        names = [*self.names(), *self._traffic.aliases]
        return f"there are {', '.join(names[:50])}" if names else self._problem or "the repository is empty"

    def _explain_unknown_version(self, name: str, version: int) -> str:
        loaded = ", ".join(str(known.number) for known in self.versions(name)) or "none"
        if version in self._available.get(name, ()):
            return (
                f"{name} version {version} is in the repository but the setting "
                f"versions={self._settings.versions} "
                f"doesn't load it; tried: {loaded}"
            )
        return f"{name} has no version {version}; there are: {loaded}"
