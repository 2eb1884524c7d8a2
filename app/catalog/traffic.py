"""Traffic: what the names in requests mean. The one owner of aliases."""

from __future__ import annotations

from collections.abc import Mapping


class Traffic:
    """Aliases: another name for a model, or for one version of it. An alias goes before a model of its name."""

    def __init__(self, aliases: Mapping[str, str]) -> None:
        """`aliases` maps a name to model or model/version."""
        self._aliases = dict(aliases)

    @property
    def aliases(self) -> dict[str, str]:
        """A copy."""
        return dict(self._aliases)

    def replace(self, aliases: Mapping[str, str]) -> None:
        """These alone hold from now on."""
        self._aliases = dict(aliases)

    def follow(self, name: str) -> tuple[str, int | None]:
        """The model that a name means, and the version that an alias pins."""
        if (target := self._aliases.get(name)) is None:
            return name, None
        model, _, pinned = target.partition("/")
        return model, int(pinned) if pinned else None
