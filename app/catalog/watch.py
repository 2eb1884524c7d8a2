"""Watching a repository: what changed in it is loaded, what left it is dropped."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping

from app.catalog.control import Control
from app.catalog.traffic import Traffic
from artifact.errors import ArtifactError, ConvserveError

log = logging.getLogger(__name__)


FindChanges = Callable[[], tuple[list[str], list[str]]]
"""Gives models whose folders changed since the last look, and models that left the repository."""


async def watch(find_changes: FindChanges, control: Control, interval_s: float) -> None:
    """Look at the repository every `interval_s` seconds, until canceled. Whatever a look raises is logged, and the
    next one comes all the same.
    """
    while True:
        await asyncio.sleep(interval_s)
        try:
            await look(find_changes, control)
        except Exception:  # nobody awaits this task: it must not end
            log.exception("looking at the repository failed; it is looked at again in %g s", interval_s)


async def look(find_changes: FindChanges, control: Control) -> list[str]:
    """Load what changed in the repository and drop what left it; a few words on each."""
    try:
        changed, gone = find_changes()
    except (ArtifactError, OSError) as error:
        log.warning("the repository can't be looked at: %s", error)
        return []
    said = []
    for names, act, done in ((changed, control.load, "loaded"), (gone, control.forget, "dropped")):
        for name in names:
            try:
                await act(name)
            except ConvserveError as error:
                log.warning("%s stays as it is: %s", name, error.detail)
                said.append(f"{name} stays as it is")
            else:
                said.append(f"{name} {done}")
    return said


async def hang_up(
    aliases: Mapping[str, str] | None, traffic: Traffic, find_changes: FindChanges, control: Control
) -> None:
    """What SIGHUP asks for: the aliases of the settings file (None where it can't be read), and one look at the
    repository. Says in one line what came of it.
    """
    if aliases is not None:
        traffic.replace(aliases)
    names = ", ".join(f"{name} -> {target}" for name, target in traffic.aliases.items()) or "none"
    said = ", ".join(await look(find_changes, control)) or "nothing changed"
    log.info("SIGHUP: aliases: %s%s; repository: %s", names, "" if aliases is not None else " (as before)", said)
