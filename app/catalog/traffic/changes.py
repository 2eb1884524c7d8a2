"""Changes of traffic: written down, then told to every process. There is one owner a service: the supervisor or, where
there is none, the only process.
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
    """The one way in which traffic changes, a change at a time."""

    def __init__(
        self, traffic: Traffic, state_file: Path | None, tell: Callable[[], Awaitable[None]] = _tell_nobody
    ) -> None:
        """`tell` passes changed traffic on. What the file holds from before a restart holds again. Raises ValueError
        where it can't be read.
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
        """Give a name a meaning, or take back what was given (None); whether that outlives a restart.

        Raises UnknownAlias or AliasOfSettings where there is nothing to take back, StateNotWritten where it can't be
        kept though it should; then nothing changed.
        """
        async with self._changing:
            await self._change(lambda traffic: traffic.put(name, target))
        return self._file is not None

    async def withdraw(self, name: str, judged: Split, target: str, reason: str) -> bool:
        """As Traffic has it, where the alias still is what was judged; whether it was. Where that can't be kept, it
        holds all the same.
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
        """The same of a shadow. Raises UnknownShadow or ShadowOfSettings, and StateNotWritten."""
        async with self._changing:
            await self._change(lambda traffic: traffic.put_shadow(name, shadow))
        return self._file is not None

    async def follow_settings(self, aliases: Aliases, shadows: Shadows) -> None:
        """The settings say something else. Where that can't be kept, it holds all the same: a restart reads them."""
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
