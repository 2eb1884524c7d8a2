"""The repository on disk: which models and versions it holds.

Reads names, sizes and times only, never an artifact's content.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from app.errors import LoadRefused, UnknownModel
from app.settings import Settings
from artifact.layout import CARD_FILE, NAME_PATTERN, find_foreign_graph, list_models, list_versions, read_fingerprint

Fingerprints = dict[int, tuple[int, ...]]
"""Of versions, by number: what changes when one is written again."""


class Repository:
    """One repository as the settings look at it, and what the last look at each model found."""

    def __init__(self, settings: Settings) -> None:
        self.path = settings.repository
        self._only = settings.load
        self._versions = settings.versions
        self._available: dict[str, list[int]] = {}
        self._tried: dict[str, Fingerprints] = {}
        self._left_alone: set[str] = set()  # unloaded by hand: nothing but a load by hand brings them back

    def names(self) -> list[str]:
        """Models to load: those that the setting `load` names, or all. Raises ArtifactError without a folder."""
        there = list_models(self.path)
        return list(dict.fromkeys(self._only)) or there

    def look(self, name: str) -> list[int]:
        """Versions of a model that are wanted, oldest first, and remember what they look like now. For `latest`
        the older ones come too, as a way back.
        """
        if not re.match(NAME_PATTERN, name):  # it may come from a request: no such name touches the disk
            self._available[name] = []
            return []
        available = self._available[name] = list_versions(self.path / name)
        self._tried[name] = self._read_fingerprints(name)
        return available if self._versions == "latest" else choose_versions(available, self._versions)

    @property
    def left_alone(self) -> list[str]:
        """Models that were unloaded by hand: changes of theirs are none."""
        return sorted(self._left_alone)

    def leave_alone(self, name: str) -> None:
        """The model was unloaded by hand."""
        self._left_alone.add(name)

    def take_up(self, name: str) -> None:
        """It was loaded again."""
        self._left_alone.discard(name)

    def looked_at(self) -> list[str]:
        """Models that a look has found."""
        return list(self._tried)

    def strictly(self, wanted: list[int]) -> list[int]:
        """Of what `look` gave, the versions that must load: for `latest` the newest alone."""
        return wanted[-1:] if self._versions == "latest" else wanted

    def holds(self, name: str, version: int) -> bool:
        """Whether the last look found a version, wanted or not."""
        return version in self._available.get(name, ())

    def find_changes(self, known: list[str]) -> tuple[list[str], list[str]]:
        """Models whose versions changed since the last look, and those of `known` that went away.

        Raises ArtifactError for an unreadable repository, which isn't an empty one.
        """
        there = [name for name in list_models(self.path) if not self._only or name in self._only]
        changed = [
            name
            for name in there
            if name not in self._left_alone and self._read_fingerprints(name) != self._tried.get(name, {})
        ]
        return changed, [name for name in known if name not in there and self._tried.get(name)]

    def explain_unknown(self, name: str, version: int, tried: Sequence[int]) -> str:
        """Why there is no such version, where `tried` are those that there are."""
        known = ", ".join(map(str, tried)) or "none"
        if self.holds(name, version):
            return (
                f"{name} version {version} is in the repository but the setting versions={self._versions} "
                f"doesn't load it; tried: {known}"
            )
        return f"{name} has no version {version}; there are: {known}"

    def explain_unloadable(self, name: str) -> LoadRefused | UnknownModel:
        """Why `look` found no version to load."""
        if not self._available.get(name) and not (re.match(NAME_PATTERN, name) and (self.path / name).is_dir()):
            return UnknownModel(f"the repository has no model {name[:80]!r}")
        foreign = find_foreign_graph(self.path / name)
        if foreign is not None:
            return LoadRefused(explain_foreign(foreign, self.path))
        if self._available.get(name):
            return LoadRefused(f"it has none of the versions that the setting versions={self._versions} asks for")
        return LoadRefused(f"{self.path / name} holds no version folder (a whole number)")

    def _read_fingerprints(self, name: str) -> Fingerprints:
        folder = self.path / name
        wanted = choose_versions(list_versions(folder), self._versions)
        return {number: read_fingerprint(folder / str(number)) for number in wanted}


def choose_versions(available: list[int], wanted: str) -> list[int]:
    """Those of the available versions that the setting `versions` (latest, all or 1,3) asks for."""
    if wanted == "all":
        return available
    if wanted == "latest":
        return available[-1:]
    return [version for version in available if version in {int(number) for number in wanted.split(",")}]


def explain_foreign(path: Path, repository: Path) -> str:
    """Why a lone .onnx isn't served, with the one command that brings it in."""
    return (
        f"{path.relative_to(repository)} has no {CARD_FILE}: bring it in with: "
        f"convserve-export adopt {path} --repository {repository}"
    )
