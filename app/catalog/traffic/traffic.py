"""Traffic: what the names in requests mean. The one owner of aliases in its process."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from random import Random
from typing import Any

from app.aliases import Cascade, Meaning, Split, read_target, write_target
from app.catalog.traffic.slots import SLOTS, deal, find_slot, read_table, write_table
from app.errors import AliasOfSettings, UnknownAlias

Aliases = Mapping[str, Meaning]
"""What each name means."""


class Traffic:
    """Aliases: another name for a model, for one version of it, for several models by their shares, or for a cascade of
    two. An alias goes before a model of its name; what it means is no alias again. What requests have set goes before
    what the settings say.
    """

    def __init__(self, aliases: Aliases, random: Random | None = None) -> None:
        """As the settings have them. `random` chooses for requests that no header assigns."""
        self.random = random or Random()
        self._put: dict[str, Meaning] = {}
        self._tables: dict[str, list[str]] = {}
        self.replace(aliases)

    @property
    def aliases(self) -> dict[str, Meaning]:
        """What holds. A copy."""
        return dict(self._aliases)

    @property
    def put_aliases(self) -> Collection[str]:
        """Those that a request has set."""
        return self._put.keys()

    def write(self) -> dict[str, Any]:
        """All of it as JSON has it, to be read by another process."""
        return {"settings": _write(self._settings), **self.keep()}

    def read(self, written: Mapping[str, Any]) -> None:
        """Hold what `write` of another process gave, from now on and to the slot."""
        self._settings = _read(written["settings"])
        self.restore(written)

    def keep(self) -> dict[str, Any]:
        """What a restart can't find in the settings, as JSON has it."""
        tables = {name: write_table(table) for name, table in self._tables.items()}
        return {"aliases": _write(self._put), "tables": tables}

    def restore(self, kept: Mapping[str, Any]) -> None:
        """Hold what `keep` gave before a restart, beside what the settings say now."""
        self._put = _read(kept.get("aliases", {}))
        self._tables = {name: read_table(table) for name, table in kept.get("tables", {}).items()}
        self._apply()

    def copy(self) -> Traffic:
        copied = Traffic({})
        copied.read(self.write())
        return copied

    def replace(self, aliases: Aliases) -> None:
        """The settings say these now, and no others."""
        self._settings = dict(aliases)
        self._apply()

    def put(self, name: str, target: Meaning | None) -> None:
        """A request gives a name a meaning, which goes before the settings', or takes back what one gave (None). Raises
        UnknownAlias or AliasOfSettings where there is nothing to take back.
        """
        if target is not None:
            self._put[name] = target
        elif name in self._put:
            del self._put[name]
        else:
            self.check_known(name)
            raise AliasOfSettings(
                f"the alias {name} is one of the settings: take it out there and send SIGHUP, or PUT another meaning"
            )
        self._apply()

    def check_known(self, name: str) -> None:
        """Raises UnknownAlias."""
        if name not in self._aliases:
            known = ", ".join(list(self._aliases)[:50]) or "none"
            raise UnknownAlias(f"there is no alias {name[:80]!r}; there are: {known}")

    def _apply(self) -> None:
        self._aliases = {**self._settings, **self._put}
        self.cascades = {name: target for name, target in self._aliases.items() if isinstance(target, Cascade)}
        """Those that mean two models."""
        self.splits = {name: target for name, target in self._aliases.items() if isinstance(target, Split)}
        """Those that mean several, each for its share."""
        self.several: dict[str, Cascade | Split] = {**self.cascades, **self.splits}
        """Both."""
        self._tables = {name: deal(split.to, self._tables.get(name, ())) for name, split in self.splits.items()}

    def draw(self, name: str, find_header: Callable[[str], str | None]) -> int | None:
        """The slot of a request to `name`, whose headers `find_header` knows by their names in lower case, to be drawn
        once a request; None where the name isn't split.
        """
        if (split := self.splits.get(name)) is None:
            return None
        client = find_header(split.sticky.lower()) if split.sticky else None
        return find_slot(name, client) if client else self.random.randrange(SLOTS)

    def target(self, name: str, slot: int | None = None) -> str:
        """The model or model/version that a name means: of a split for that slot, or for most; of a cascade the first
        one's. A name that is no alias is itself.
        """
        target = self._aliases.get(name, name)
        if isinstance(target, str):
            return target
        if isinstance(target, Cascade):
            return target.first
        return target.largest if slot is None else self._tables[name][slot]

    def follow(self, name: str, slot: int | None = None) -> tuple[str, int | None]:
        """The same as model and version, which is None where none is pinned."""
        if name not in self._aliases:
            return name, None
        return split_version(self.target(name, slot))


def split_version(target: str) -> tuple[str, int | None]:
    """The two parts of model/version; None where no version is named."""
    model, _, version = target.partition("/")
    return model, int(version) if version else None


def _write(aliases: Aliases) -> dict[str, Any]:
    return {name: write_target(target) for name, target in aliases.items()}


def _read(written: Mapping[str, Any]) -> dict[str, Meaning]:
    return {name: read_target(target) for name, target in written.items()}
