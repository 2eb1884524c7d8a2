"""Traffic: what the names in requests mean, and who sees requests beside whom. The one owner of aliases and shadows in
its process.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from random import Random
from typing import Any

from app.aliases import SLOTS, Cascade, Meaning, Shadow, Split, read_shadow, read_target, write_shadow, write_target
from app.catalog.traffic.layers import Layers, read_named, write_named
from app.catalog.traffic.slots import assign_slots, find_slot, read_table, write_table
from app.errors import AliasOfSettings, ShadowOfSettings, UnknownAlias, UnknownShadow

Aliases = Mapping[str, Meaning]
"""What each name means."""
Shadows = Mapping[str, Shadow]


class Traffic:
    """Aliases: another name for a model, for one version of it, for several models by their shares, or for a cascade of
    two. An alias hides a model of its name; what it means is no alias again. What requests have set overrides the
    settings.
    """

    def __init__(self, aliases: Aliases, shadows: Shadows, random: Random | None = None) -> None:
        """As the settings have them. `random` chooses for requests that no header assigns."""
        self.random = random or Random()
        self._aliases: Layers[Meaning] = Layers("alias", UnknownAlias, AliasOfSettings)
        self._shadows: Layers[Shadow] = Layers("shadow", UnknownShadow, ShadowOfSettings)
        self._tables: dict[str, list[str]] = {}
        self.withdrawals: dict[str, dict[str, str]] = {}
        """Alias -> model -> why its guard took its weight away. Forgotten once the alias is changed by a request."""
        self.replace(aliases, shadows)

    @property
    def aliases(self) -> dict[str, Meaning]:
        """What holds. A copy."""
        return dict(self._meanings)

    @property
    def put_aliases(self) -> Collection[str]:
        """Those that a request has set."""
        return self._aliases.set_by_requests.keys()

    @property
    def put_shadows(self) -> Collection[str]:
        """Those that a request has set."""
        return self._shadows.set_by_requests.keys()

    def write(self) -> dict[str, Any]:
        """All of it as JSON has it, to be read by another process."""
        settings = {
            "aliases": write_named(self._aliases.settings, write_target),
            "shadows": write_named(self._shadows.settings, write_shadow),
        }
        return {"settings": settings, **self.keep()}

    def read(self, written: Mapping[str, Any]) -> None:
        """Hold what `write` of another process gave, from now on and to the slot."""
        settings = written["settings"]
        self._aliases.settings = read_named(settings["aliases"], read_target)
        self._shadows.settings = read_named(settings["shadows"], read_shadow)
        self.restore(written)

    def keep(self) -> dict[str, Any]:
        """What a restart can't find in the settings, as JSON has it."""
        return {
            "aliases": write_named(self._aliases.set_by_requests, write_target),
            "shadows": write_named(self._shadows.set_by_requests, write_shadow),
            "tables": write_named(self._tables, write_table),
            "withdrawals": write_named(self.withdrawals, dict),
        }

    def restore(self, kept: Mapping[str, Any]) -> None:
        """Hold what `keep` gave before a restart, beside what the settings say now."""
        self._aliases.set_by_requests = read_named(kept.get("aliases", {}), read_target)
        self._shadows.set_by_requests = read_named(kept.get("shadows", {}), read_shadow)
        self._tables = read_named(kept.get("tables", {}), read_table)
        self.withdrawals = read_named(kept.get("withdrawals", {}), dict)
        self._apply()

    def copy(self) -> Traffic:
        copied = Traffic({}, {})
        copied.read(self.write())
        return copied

    def replace(self, aliases: Aliases, shadows: Shadows) -> None:
        """The settings say these now, and no others."""
        self._aliases.settings, self._shadows.settings = dict(aliases), dict(shadows)
        self._apply()

    def put(self, name: str, target: Meaning | None) -> None:
        """Set what a name means, which overrides the settings, or delete what a request has set (None). Raises
        UnknownAlias or AliasOfSettings where there is nothing to take back.
        """
        self._aliases.put(name, target)
        self.withdrawals.pop(name, None)
        self._apply()

    def withdraw(self, name: str, target: str, reason: str) -> None:
        """Give one model of a weighted alias no requests any more, as a request would, and say why."""
        self._aliases.put(name, self.splits[name].withdraw(target))
        self.withdrawals.setdefault(name, {})[target] = reason
        self._apply()

    def put_shadow(self, name: str, shadow: Shadow | None) -> None:
        """The same of a shadow. Raises UnknownShadow or ShadowOfSettings."""
        self._shadows.put(name, shadow)
        self._apply()

    def check_known(self, name: str) -> None:
        """Raises UnknownAlias."""
        self._aliases.check_known(name)

    def find_shadow(self, name: str) -> Shadow:
        """Raises UnknownShadow."""
        self._shadows.check_known(name)
        return self.shadows[name]

    def _apply(self) -> None:
        self._meanings = self._aliases.merge()
        self.shadows = self._shadows.merge()
        """Those that hold, by name."""
        self.cascades = {name: target for name, target in self._meanings.items() if isinstance(target, Cascade)}
        """Those that mean two models."""
        self.splits = {name: target for name, target in self._meanings.items() if isinstance(target, Split)}
        """Those that mean several, each for its share."""
        self.several: dict[str, Cascade | Split] = {**self.cascades, **self.splits}
        """Both."""
        self._tables = {name: assign_slots(split.to, self._tables.get(name, ())) for name, split in self.splits.items()}

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
        target = self._meanings.get(name, name)
        if isinstance(target, str):
            return target
        if isinstance(target, Cascade):
            return target.first
        return target.largest if slot is None else self._tables[name][slot]

    def follow(self, name: str, slot: int | None = None) -> tuple[str, int | None]:
        """The same as model and version, which is None where none is pinned."""
        if name not in self._meanings:
            return name, None
        return split_version(self.target(name, slot))


def split_version(target: str) -> tuple[str, int | None]:
    """The two parts of model/version; None where no version is named."""
    model, _, version = target.partition("/")
    return model, int(version) if version else None
