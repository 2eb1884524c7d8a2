"""The repository on disk: which models and versions it holds, and which of them are whole. Remembers nothing: what an
earlier look found is given to the next one.
"""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from app.catalog.arrival import find_lacking, lacks_card
from app.settings import Settings
from artifact.layout import (
    CARD_FILE,
    NAME_PATTERN,
    VERSION_PATTERN,
    Fingerprint,
    find_foreign_graph,
    list_models,
    list_strangers,
    list_versions,
    read_fingerprint,
)

# Seconds: a folder that has no card and hasn't changed for this long isn't being copied any more.
_QUIET_S = 10.0


@dataclass(frozen=True)
class Look:
    """What was found of one model, for the catalog that loads it."""

    name: str
    available: tuple[int, ...] = ()
    """The numbers of its version folders, ascending."""
    wanted: tuple[int, ...] = ()
    """The complete versions to load, ascending; of `latest` with the older ones, which are tried if the newest is
    refused.
    """
    arriving: tuple[tuple[int, str], ...] = ()
    """Versions that aren't complete yet, each with the missing files in words."""
    reason: str = ""
    """Why there is nothing to load, or why the folder can't be read; otherwise empty."""
    unchanged: tuple[int, ...] = ()
    """Versions that haven't changed since they were loaded: they aren't loaded again."""

    @classmethod
    def read(cls, entry: Mapping[str, Any]) -> Look:
        """The look that another process wrote as JSON; `entry` is the parsed object."""
        arriving = tuple((number, missing) for number, missing in entry["arriving"])
        numbers = {name: tuple(entry[name]) for name in ("available", "wanted", "unchanged")}
        return cls(entry["name"], arriving=arriving, reason=entry["reason"], **numbers)


@dataclass(frozen=True)
class Mark:
    """The state of one version's folder: its fingerprint, since when it has that (monotonic seconds), and what is
    missing.
    """

    fingerprint: Fingerprint
    since: float
    missing: str


@dataclass(frozen=True)
class Seen:
    """What a look at one model found, with what the next look is compared with."""

    look: Look
    there: bool = True
    """Whether the model has a folder."""
    due: Mapping[int, Fingerprint] = field(default_factory=dict)
    """The fingerprints of the versions that must be loaded: if these change, there is something to load."""
    marks: Mapping[int, Mark] = field(default_factory=dict)
    passed_over: tuple[str, ...] = ()
    """Folders beside the versions whose names are no versions."""


class Repository:
    """The folder of models that the settings name, and which of its versions they want loaded. Reads, loads nothing."""

    def __init__(self, settings: Settings, quiet_s: float = _QUIET_S) -> None:
        self.path = settings.folder
        self._versions = settings.versions
        self._quiet_s = quiet_s

    def list_names(self) -> tuple[list[str], tuple[str, ...]]:
        """The models, and the folders whose names no model may have. Raises ArtifactError for an unreadable
        repository, which isn't an empty one.
        """
        return list_models(self.path), list_strangers(self.path, NAME_PATTERN)

    def look(self, name: str, before: Seen | None = None) -> Seen:
        """Look at one model; `before` is what the last look found. What can't be read is said in `reason`."""
        folder = self.path / name
        # It may come from a request: no name that isn't one touches the disk.
        if not re.fullmatch(NAME_PATTERN, name):
            return Seen(Look(name, reason=explain_unknown(name)), there=False)
        try:
            if not folder.is_dir():
                return Seen(Look(name, reason=explain_unknown(name)), there=False)
            return self._look(folder, before)
        except OSError as error:
            return unreadable(name, before, f"{error.filename or folder} can't be read ({error.strerror})")

    def _look(self, folder: Path, before: Seen | None) -> Seen:
        available = list_versions(folder)
        latest = self._versions == "latest"
        known = before.marks if before else {}
        marks: dict[int, Mark] = {}
        arriving: dict[int, str] = {}
        wanted: list[int] = []
        for number in reversed(available if latest else choose_versions(available, self._versions)):
            if latest and wanted:  # only a way back: judged when it is taken
                wanted.append(number)
                continue
            marks[number] = mark = self._mark(folder / str(number), known.get(number))
            if mark.missing:
                arriving[number] = mark.missing
            else:
                wanted.append(number)
        wanted.reverse()
        due = {number: marks[number].fingerprint for number in strictly(wanted, self._versions)}
        # A version that was due and is being written again stays as it is until that is done.
        due |= {number: before.due[number] for number in arriving if before and number in before.due}
        if latest and due:
            due = {max(due): due[max(due)]}
        passed_over = list_strangers(folder, VERSION_PATTERN)
        reason = "" if wanted or arriving else self._explain_empty(folder, available, passed_over)
        look = Look(folder.name, tuple(available), tuple(wanted), tuple(sorted(arriving.items())), reason)
        return Seen(look, True, due, marks, passed_over)

    def _mark(self, folder: Path, before: Mark | None) -> Mark:
        now = time.monotonic()
        try:
            fingerprint = read_fingerprint(folder)
            if before is not None and before.fingerprint == fingerprint and not before.missing:
                return before
            missing = find_lacking(folder)
        except OSError as error:  # to load it will say so
            return Mark(((str(error), 0, 0, 0),), now, "")
        if before is not None:
            since = before.since if before.fingerprint == fingerprint else now
        else:
            newest = max(folder.stat().st_mtime_ns, *(modified for _, _, modified, _ in fingerprint), 0)
            since = now - max(0.0, time.time() - newest / 1e9)
        if lacks_card(missing) and now - since >= self._quiet_s:
            missing = []
        return Mark(fingerprint, since, _shorten(missing))

    def _explain_empty(self, folder: Path, available: list[int], passed_over: tuple[str, ...]) -> str:
        foreign = find_foreign_graph(folder)
        if foreign is not None:
            return explain_foreign(foreign, self.path)
        if available:
            return f"it has none of the versions that the setting versions={self._versions} asks for"
        beside = f"; ignored: {', '.join(passed_over[:10])}" if passed_over else ""
        return f"{folder} has no version folder (a whole number){beside}"


def _shorten(missing: list[str]) -> str:
    return ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")


def unreadable(name: str, before: Seen | None, reason: str) -> Seen:
    """The result for a model that can't be read now: what was found before, with the `reason`."""
    return replace(before, look=replace(before.look, reason=reason)) if before else Seen(Look(name, reason=reason))


def choose_versions(available: list[int], wanted: str) -> list[int]:
    """Those of the available versions that the setting `versions` (latest, all or 1,3) asks for."""
    if wanted == "all":
        return available
    if wanted == "latest":
        return available[-1:]
    return [version for version in available if version in {int(number) for number in wanted.split(",")}]


def strictly(wanted: list[int] | tuple[int, ...], versions: str) -> list[int]:
    """Of a look's wanted versions, ascending, those that must load: for `latest` only the newest."""
    return list(wanted[-1:] if versions == "latest" else wanted)


def explain_unknown(name: str) -> str:
    """The message for an unknown model. It names no others: the client's key may not be for them."""
    return f"the repository has no model {name[:80]!r}: `convserve models` lists those that it has"


def explain_foreign(path: Path, repository: Path) -> str:
    """Why a lone .onnx isn't served, with the one command that brings it in."""
    return (
        f"{path.relative_to(repository)} has no {CARD_FILE}: publish it with: "
        f"convserve-export adopt {shlex.quote(str(path))} --repository {shlex.quote(str(repository))}"
    )
