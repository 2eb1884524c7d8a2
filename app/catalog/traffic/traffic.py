"""Traffic: what the names in requests mean. The one owner of aliases in its process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from app.aliases import Cascade, Meaning, Split, read_target, write_target
from app.catalog.traffic.slots import SLOTS, deal, find_slot, read_table, write_table

Aliases = Mapping[str, Meaning]
"""What each name means."""


class Traffic:
    """Aliases: another name for a model, for one version of it, for several models by their shares, or for a cascade of
    two. An alias goes before a model of its name; what it means is no alias again.
    """

    def __init__(self, aliases: Aliases, random: Random | None = None) -> None:
        """As the settings have them. `random` chooses for requests that no header assigns."""
        self._random = random or Random()
        self._tables: dict[str, list[str]] = {}
        self.replace(aliases)

    @property
    def aliases(self) -> dict[str, Meaning]:
        """What holds. A copy."""
        return dict(self._aliases)

    def write(self) -> dict[str, Any]:
        """All of it as JSON has it, to be read by another process."""
        return {
            "aliases": {name: write_target(target) for name, target in self._aliases.items()},
            "tables": {name: write_table(table) for name, table in self._tables.items()},
        }

    def read(self, written: Mapping[str, Any]) -> None:
        """Hold what `write` of another process gave, from now on and to the slot."""
        self._tables = {name: read_table(table) for name, table in written["tables"].items()}
        self.replace({name: read_target(target) for name, target in written["aliases"].items()})

    def replace(self, aliases: Aliases) -> None:
        """These alone hold from now on."""
        self._aliases = dict(aliases)
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
        return find_slot(name, client) if client else self._random.randrange(SLOTS)

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
