"""Changes of aliases and shadows: first written to state_file, then sent to every process. One process of a service
does this: the supervisor or, where there is none, the only process.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from app.aliases import Meaning, Shadow, Split
from app.catalog.threads import run_in_thread
from app.catalog.traffic.state_file import read_state, write_state
from app.catalog.traffic.traffic import Aliases, Shadows, Traffic
from app.errors import StateNotWritten

log = logging.getLogger(__name__)


async def _tell_nobody() -> None:
    """One process has nobody to tell."""


class TrafficChanges:
    """Makes all changes of aliases and shadows, one at a time."""

    def __init__(
        self, traffic: Traffic, state_file: Path | None, tell: Callable[[], Awaitable[None]] = _tell_nobody
    ) -> None:
        """`tell` sends the changed `traffic` to other processes. The content of `state_file`, from before a restart, is
        taken over. Raises ValueError if it can't be read.
        """
        self.traffic = traffic
        self._file = state_file
        self._tell = tell
        self._changing = asyncio.Lock()
        if state_file is not None:
            kept = read_state(state_file)
            try:
                traffic.restore(kept)
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise ValueError(
                    f"state_file {state_file} is not a state file of convserve ({type(error).__name__}): delete it"
                ) from error

    async def set_alias(self, name: str, target: Meaning | None) -> bool:
        """Set an alias, or delete the one that a request set (None). Returns whether that outlives a restart.

        Raises UnknownAlias or AliasOfSettings if no request set it, StateNotWritten if state_file can't be written;
        then nothing changed.
        """
        async with self._changing:
            await self._change(lambda traffic: traffic.put(name, target))
        return self._file is not None

    async def withdraw(self, name: str, judged: Split, target: str, reason: str) -> bool:
        """Traffic.withdraw in all processes, even where state_file can't be written. False, and nothing is done, where
        the alias is no longer the one that was judged.
        """
        async with self._changing:
            if self.traffic.splits.get(name) != judged:  # it was changed while this waited for its turn
                return False
            try:
                await self._change(lambda traffic: traffic.withdraw(name, target, reason))
            except StateNotWritten as error:
                log.error("%s", error.detail)
                self.traffic.withdraw(name, target, reason)
                await self._tell()
            return True

    async def set_shadow(self, name: str, shadow: Shadow | None) -> bool:
        """`set_alias` for a shadow. Raises UnknownShadow, ShadowOfSettings or StateNotWritten."""
        async with self._changing:
            await self._change(lambda traffic: traffic.put_shadow(name, shadow))
        return self._file is not None

    async def follow_settings(self, aliases: Aliases, shadows: Shadows) -> None:
        """Traffic.replace in all processes, even where state_file can't be written: a restart reads the settings."""
        async with self._changing:
            try:
                await self._change(lambda traffic: traffic.replace(aliases, shadows))
            except StateNotWritten as error:
                log.error("%s", error.detail)
                self.traffic.replace(aliases, shadows)
                await self._tell()

    async def _change(self, change: Callable[[Traffic], None]) -> None:
        changed = self.traffic.copy()
        change(changed)
        if self._file is not None:
            try:
                await run_in_thread(partial(write_state, self._file, changed.keep()))
            except OSError as error:
                raise StateNotWritten(
                    f"state_file {self._file} can't be written ({error.strerror}): nothing changed"
                ) from error
        self.traffic.read(changed.write())
        await self._tell()
