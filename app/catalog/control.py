"""Control: the few things that concern every process of a service at once. In one process, the default, they act on
its own catalog; app.workers has the form that asks the supervisor.
"""

from __future__ import annotations

import asyncio
import logging
import resource
from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol

from app.inference.memory import measure_resident
from app.observe.metrics import Labels, Snapshot

if TYPE_CHECKING:  # the supervisor has no catalog, and would wait for all that one imports
    from app.catalog.catalog import Catalog

log = logging.getLogger(__name__)


class Control(Protocol):
    """Reaches every process, or none where one of them can't follow."""

    async def load(self, name: str) -> None:
        """Load, or load again, what the repository holds of a model. Raises UnknownModel or LoadRefused."""

    async def unload(self, name: str) -> None:
        """Take a model out of service. Raises UnknownModel."""

    async def forget(self, name: str) -> None:
        """Take out a model whose folder went away."""

    async def explain_unready(self) -> str:
        """Why the service isn't ready; empty where it is."""

    async def snapshot(self) -> Snapshot:
        """The metrics of all processes, summed."""


class LocalControl:
    """Control over one catalog."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._changing = asyncio.Lock()
        catalog.metrics.observe_with(observe_process)

    async def load(self, name: str) -> None:
        async with self._changing:
            await self._catalog.load(name)

    async def unload(self, name: str) -> None:
        async with self._changing:
            await self._catalog.unload(name)

    async def forget(self, name: str) -> None:
        async with self._changing:
            self._catalog.forget(name)

    async def explain_unready(self) -> str:
        return self._catalog.explain_unready()

    async def snapshot(self) -> Snapshot:
        snapshot = self._catalog.metrics.snapshot()
        snapshot["convserve_ready"][()] = [float(not self._catalog.explain_unready())]
        return snapshot


def observe_process() -> Iterable[tuple[str, Labels, list[float]]]:
    """Gauges of this process."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    yield "convserve_process_resident_bytes", (), [float(measure_resident())]
    yield "convserve_process_cpu_seconds_total", (), [usage.ru_utime + usage.ru_stime]
    yield "convserve_workers", (), [1.0]
