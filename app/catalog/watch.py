"""Watching a repository: what changed in it is loaded, what left it is dropped."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from app.catalog.control import Control
from artifact.errors import ArtifactError, ConvserveError

log = logging.getLogger(__name__)


async def watch(find_changes: Callable[[], tuple[list[str], list[str]]], control: Control, interval_s: float) -> None:
    """Every `interval_s` seconds load what changed in the repository and drop what left it, until canceled."""
    while True:
        await asyncio.sleep(interval_s)
        try:
            changed, gone = find_changes()
        except ArtifactError as error:
            log.warning("%s", error.detail)
            continue
        for name, act in [*((name, control.load) for name in changed), *((name, control.forget) for name in gone)]:
            try:
                await act(name)
            except ConvserveError as error:
                log.warning("%s stays as it is: %s", name, error.detail)
