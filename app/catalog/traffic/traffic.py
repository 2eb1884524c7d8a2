"""Traffic: the aliases and shadows of one process, and the model that a name in a request means."""

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
    """An alias is another name for a model, for one version of it, for several models by weights, or for a cascade of
    two. It hides a model of the same name; its target is never itself an alias. Aliases and shadows that requests set
    override those of the settings.
    """

    def __init__(self, aliases: Aliases, shadows: Shadows, random: Random | None = None) -> None:
        """`aliases` and `shadows` are those of the settings. `random` draws the slot of requests without a sticky
        header.
        """
        self.random = random or Random()
        self._aliases: Layers[Meaning] = Layers("alias", UnknownAlias, AliasOfSettings)
        self._shadows: Layers[Shadow] = Layers("shadow", UnknownShadow, ShadowOfSettings)
        self._tables: dict[str, list[str]] = {}
        self.withdrawals: dict[str, dict[str, str]] = {}
        """Alias -> model -> why its guard set its weight to 0. Dropped once a request changes the alias."""
        self.replace(aliases, shadows)

    @property
    def aliases(self) -> dict[str, Meaning]:
        """A copy of all aliases: those of the settings, overridden by those that requests set."""
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
        """The whole state, ready for JSON, for `read` in another process."""
        settings = {
            "aliases": write_named(self._aliases.settings, write_target),
            "shadows": write_named(self._shadows.settings, write_shadow),
        }
        return {"settings": settings, **self.keep()}

    def read(self, written: Mapping[str, Any]) -> None:
        """Take over the state that `write` gave in another process, including the slots of weighted aliases."""
        settings = written["settings"]
        self._aliases.settings = read_named(settings["aliases"], read_target)
        self._shadows.settings = read_named(settings["shadows"], read_shadow)
        self.restore(written)

    def keep(self) -> dict[str, Any]:
        """What must outlive a restart and isn't in the settings, ready for JSON."""
        return {
            "aliases": write_named(self._aliases.set_by_requests, write_target),
            "shadows": write_named(self._shadows.set_by_requests, write_shadow),
            "tables": write_named(self._tables, write_table),
            "withdrawals": write_named(self.withdrawals, dict),
        }

    def restore(self, kept: Mapping[str, Any]) -> None:
        """Take over what `keep` gave before a restart; the settings' own aliases and shadows stay as they are now."""
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
        """Replace the aliases and shadows of the settings."""
        self._aliases.settings, self._shadows.settings = dict(aliases), dict(shadows)
        self._apply()

    def put(self, name: str, target: Meaning | None) -> None:
        """Set an alias, which overrides the settings; None deletes what a request set. Raises UnknownAlias or
        AliasOfSettings if no request set it.
        """
        self._aliases.put(name, target)
        self.withdrawals.pop(name, None)
        self._apply()

    def withdraw(self, name: str, target: str, reason: str) -> None:
        """Set the weight of one model of a weighted alias to 0, as a request would, and keep the reason."""
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
        """All shadows, by name."""
        self.cascades = {name: target for name, target in self._meanings.items() if isinstance(target, Cascade)}
        """The aliases that are cascades of two models."""
        self.splits = {name: target for name, target in self._meanings.items() if isinstance(target, Split)}
        """The aliases that divide requests among models by weights."""
        self.several: dict[str, Cascade | Split] = {**self.cascades, **self.splits}
        """The aliases that mean several models: cascades and splits."""
        self._tables = {name: assign_slots(split.to, self._tables.get(name, ())) for name, split in self.splits.items()}

    def draw(self, name: str, find_header: Callable[[str], str | None]) -> int | None:
        """The slot of a request to `name`, to be drawn once for each request; None where `name` is no split.
        `find_header` gives a header of the request by its name in lower case.
        """
        if (split := self.splits.get(name)) is None:
            return None
        client = find_header(split.sticky.lower()) if split.sticky else None
        return find_slot(name, client) if client else self.random.randrange(SLOTS)

    def target(self, name: str, slot: int | None = None) -> str:
        """The model or model/version that a name means: of a split that of `slot`, or with None that of the largest
        weight; of a cascade its first model. A name that is no alias means itself.
        """
        target = self._meanings.get(name, name)
        if isinstance(target, str):
            return target
        if isinstance(target, Cascade):
            return target.first
        return target.largest if slot is None else self._tables[name][slot]

    def follow(self, name: str, slot: int | None = None) -> tuple[str, int | None]:
        """`target` as model and version, None where the target names no version."""
        if name not in self._meanings:
            return name, None
        return split_version(self.target(name, slot))


def split_version(target: str) -> tuple[str, int | None]:
    """The two parts of model/version; None where no version is named."""
    model, _, version = target.partition("/")
    return model, int(version) if version else None
