"""Traffic: what the names in requests mean. The one owner of aliases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.settings import Cascade

Aliases = Mapping[str, str | Cascade]
"""What each name means: model, model/version, or two models."""


class Traffic:
    """Aliases: another name for a model, for one version of it, or for a cascade of two. An alias goes before a model
    of its name; what it means is no alias again.
    """

    def __init__(self, aliases: Aliases) -> None:
        self.replace(aliases)

    @property
    def aliases(self) -> dict[str, str | Cascade]:
        """A copy."""
        return dict(self._aliases)

    def write(self) -> dict[str, Any]:
        """The aliases as JSON has them, to be read by another process."""
        return {name: _write(target) for name, target in self._aliases.items()}

    def replace(self, aliases: Mapping[str, str | Cascade | Mapping[str, Any]]) -> None:
        """These alone hold from now on: as the settings have them, or as `write` gives them."""
        self._aliases = {
            name: target if isinstance(target, str) else Cascade.model_validate(target)
            for name, target in aliases.items()
        }
        self.cascades = {name: target for name, target in self._aliases.items() if isinstance(target, Cascade)}
        """Those that mean two models."""

    def follow(self, name: str) -> tuple[str, int | None]:
        """The model that a name means, and the version that an alias pins; of a cascade the first one's."""
        if (target := self._aliases.get(name)) is None:
            return name, None
        return split_version(target if isinstance(target, str) else target.first)


def split_version(target: str) -> tuple[str, int | None]:
    """The two parts of model/version; None where no version is named."""
    model, _, version = target.partition("/")
    return model, int(version) if version else None


def _write(target: str | Cascade) -> Any:
    return target if isinstance(target, str) else target.model_dump(mode="json")
