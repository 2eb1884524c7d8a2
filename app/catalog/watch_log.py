"""What the watcher says of what it finds: each thing in one line, once."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from app.catalog.repository import Seen
from artifact.errors import ConvserveError

log = logging.getLogger(__name__)


class WatchLog:
    """Remembers what was said, so that the next look at the same doesn't say it again."""

    def __init__(self) -> None:
        self._problem = ""
        self._strangers: tuple[str, ...] = ()
        self._failures: dict[str, str] = {}  # by model

    def unreadable(self, problem: str, but: str = "") -> None:
        """Why the repository can't be read, and what holds in spite of it; an empty problem: it can be."""
        if problem and problem != self._problem:
            log.error("%s%s", problem, but)
        elif self._problem and not problem:
            log.info("the repository can be read again")
        self._problem = problem

    def passed_over(self, strangers: tuple[str, ...]) -> None:
        """Folders of the repository whose names are no model's."""
        _ignored("the repository", strangers, self._strangers, "letters, digits, dots, dashes")
        self._strangers = strangers

    def seen(self, seen: Seen, before: Seen) -> None:
        """What of a model isn't served, where that has changed."""
        look = seen.look
        _ignored(look.name, seen.passed_over, before.passed_over, "a whole number without leading zeros")
        said: Mapping[int, str] = dict(before.look.arriving)
        for number, missing in look.arriving:
            if said.get(number) != missing:
                log.info("%s version %d is being copied: it lacks %s", look.name, number, missing)
        if look.reason and look.reason != before.look.reason:
            log.error("%s %s: %s", look.name, "stays as it is" if before.due else "is refused", look.reason)

    def failed(self, name: str, error: Exception) -> None:
        """A model couldn't be changed, and is tried again at the next look."""
        if self._failures.get(name) == repr(error):
            return
        self._failures[name] = repr(error)
        if isinstance(error, ConvserveError):
            log.warning("%s stays as it is: %s", name, error.detail)
        else:
            log.error("%s stays as it is and is tried again", name, exc_info=error)

    def succeeded(self, name: str) -> None:
        """The next failure of this model is a new one."""
        self._failures.pop(name, None)


def _ignored(where: str, now: tuple[str, ...], before: tuple[str, ...], rule: str) -> None:
    if now and now != before:
        names = ", ".join(repr(name[:80]) for name in now[:10])
        log.warning("ignored in %s: %s%s (a name is %s)", where, names, ", ..." if now[10:] else "", rule)
