"""What the watcher logs of what it finds: one line for each thing, once."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from app.catalog.repository import Seen
from artifact.errors import ConvserveError
from artifact.layout import NAME_FORM

log = logging.getLogger(__name__)


class WatchLog:
    """Remembers what was logged, so that the next look doesn't log it again."""

    def __init__(self) -> None:
        self._problem = ""
        self._strangers: tuple[str, ...] = ()
        self._failures: dict[str, str] = {}  # by model

    def unreadable(self, problem: str, but: str = "") -> None:
        """Log why the repository can't be read, followed by `but`; an empty `problem` means that it can be read."""
        if problem and problem != self._problem:
            log.error("%s%s", problem, but)
        elif self._problem and not problem:
            log.info("the repository can be read again")
        self._problem = problem

    def passed_over(self, strangers: tuple[str, ...]) -> None:
        """Log the repository's folders that can't be models by their names."""
        _ignored("the repository", strangers, self._strangers, f"a name has {NAME_FORM}")
        self._strangers = strangers

    def seen(self, seen: Seen, before: Seen) -> None:
        """Log what of a model isn't served, if that has changed since `before`."""
        look = seen.look
        _ignored(
            look.name, seen.passed_over, before.passed_over, "a version is a whole number from 1, without leading zeros"
        )
        said: Mapping[int, str] = dict(before.look.arriving)
        for number, missing in look.arriving:
            if said.get(number) != missing:
                log.info("%s version %d is being copied: it lacks %s", look.name, number, missing)
        if look.reason and look.reason != before.look.reason:
            log.error("%s %s: %s", look.name, "stays as it is" if before.due else "is refused", look.reason)

    def failed(self, name: str, error: Exception) -> None:
        """Log that a model couldn't be loaded or unloaded; the next look tries again."""
        if self._failures.get(name) == repr(error):
            return
        self._failures[name] = repr(error)
        if isinstance(error, ConvserveError):
            log.warning("%s stays as it is: %s", name, error.detail)
        else:
            log.error("%s stays as it is and is tried again", name, exc_info=error)

    def succeeded(self, name: str) -> None:
        """Forget the model's last failure: the next one is logged again."""
        self._failures.pop(name, None)


def _ignored(where: str, now: tuple[str, ...], before: tuple[str, ...], rule: str) -> None:
    if now and now != before:
        names = ", ".join(repr(name[:80]) for name in now[:10])
        log.warning("ignored in %s: %s%s (%s)", where, names, ", ..." if now[10:] else "", rule)
