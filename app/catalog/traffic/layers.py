"""Layers: named values from the settings, overridden by those that requests set. Doesn't know what they mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from app.errors import Conflict, NotFound

T = TypeVar("T")


class Layers(Generic[T]):
    """The aliases, or the shadows, by name: those of the settings, overridden by those that requests set."""

    def __init__(self, kind: str, unknown: type[NotFound], of_settings: type[Conflict]) -> None:
        """`kind` is the word for one of them in error messages."""
        self._kind = kind
        self._unknown = unknown
        self._of_settings = of_settings
        self.settings: Mapping[str, T] = {}
        self.set_by_requests: dict[str, T] = {}

    def merge(self) -> dict[str, T]:
        """All of them, by name; what a request set overrides the settings."""
        return {**self.settings, **self.set_by_requests}

    def put(self, name: str, value: T | None) -> None:
        """Set a value as a request does; None deletes what a request set. Raises `unknown` or `of_settings` if no
        request set it.
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
