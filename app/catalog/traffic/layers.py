"""Layers: what the settings say by name and, before it, what requests have set. Knows not what it means."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from app.errors import Conflict, NotFound

T = TypeVar("T")


class Layers(Generic[T]):
    """Named things of one kind, aliases or shadows: those of the settings, and over them those set by requests."""

    def __init__(self, kind: str, unknown: type[NotFound], of_settings: type[Conflict]) -> None:
        """`kind` names the thing in what is raised."""
        self._kind = kind
        self._unknown = unknown
        self._of_settings = of_settings
        self.settings: Mapping[str, T] = {}
        self.set_by_requests: dict[str, T] = {}

    def merge(self) -> dict[str, T]:
        """What holds."""
        return {**self.settings, **self.set_by_requests}

    def put(self, name: str, value: T | None) -> None:
        """A request sets it, or takes back what one has set (None). Raises `unknown` or `of_settings` where there is
        nothing to take back.
        """
        if value is not None:
            self.set_by_requests[name] = value
        elif name in self.set_by_requests:
            del self.set_by_requests[name]
        else:
            self.check_known(name)
            raise self._of_settings(
                f"the {self._kind} {name} is defined in the settings: remove it there and send SIGHUP, or PUT another "
                "one"
            )

    def check_known(self, name: str) -> None:
        """Raises `unknown`."""
        if name not in (there := self.merge()):
            known = ", ".join(list(there)[:50]) or "none"
            raise self._unknown(f"there is no {self._kind} {name[:80]!r}; there are: {known}")


def write_named(things: Mapping[str, T], write: Callable[[T], Any]) -> dict[str, Any]:
    """The same names, each with the JSON value that `write` makes of its thing."""
    return {name: write(thing) for name, thing in things.items()}


def read_named(written: Mapping[str, Any], read: Callable[[Any], T]) -> dict[str, T]:
    """The things of `write_named`'s JSON, by name. Raises what `read` raises of a value that it can't read."""
    return {name: read(thing) for name, thing in written.items()}
