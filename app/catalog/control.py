"""Control: operations on all processes of a service: load and unload, aliases, shadows, metrics. LocalControl is that
of a single process; app.workers has the one that asks the supervisor.
"""

from __future__ import annotations

import logging
import resource
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Protocol

from app.aliases import Meaning, Shadow, list_targets
from app.catalog.background import Background
from app.catalog.threads import run_in_thread
from app.catalog.traffic.changes import TrafficChanges
from app.catalog.traffic.guards import EVERY_S, Guards
from app.catalog.traffic.traffic import split_version
from app.catalog.watch import Watcher
from app.inference.memory import measure_resident
from app.observe.families import Labels
from app.observe.metrics import Snapshot
from app.settings import Settings

if TYPE_CHECKING:  # the supervisor has no catalog, and would wait for all that one imports
    from app.catalog.catalog import Catalog
    from app.catalog.repository import Look

log = logging.getLogger(__name__)

ReadAgain = Callable[[], Settings | None]
"""Reads the settings again; None where they can't be read, which it says itself."""


class Control(Protocol):
    """Each call changes every process, or none if one of them fails."""

    async def start(self) -> None:
        """Have the models loaded, in the background."""

    async def load(self, name: str) -> None:
        """Load, or load again, what the repository holds of a model. Raises UnknownModel or LoadRefused."""

    async def unload(self, name: str) -> None:
        """Take a model out of service. Raises UnknownModel."""

    async def set_alias(self, name: str, target: Meaning | None) -> bool:
        """As TrafficChanges has it."""

    async def set_shadow(self, name: str, shadow: Shadow | None) -> bool:
        """As TrafficChanges has it."""

    async def list_disagreements(self, shadow: str) -> list[dict[str, Any]]:
        """Those of all processes, as Disagreements has them, newest first."""

    async def find_image(self, shadow: str, disagreement: str) -> bytes | None:
        """The image of one of them, where it is kept."""

    async def explain_unready(self) -> str:
        """Why the service isn't ready; empty where it is."""

    async def snapshot(self) -> Snapshot:
        """The metrics of all processes, summed."""

    async def close(self) -> None:
        """End what goes on in the background."""


class LocalControl:
    """Control over one catalog."""

    def __init__(self, settings: Settings, catalog: Catalog) -> None:
        self._catalog = catalog
        self._background = Background()
        self.watcher = Watcher(settings, OneCatalog(catalog))
        self._changes = TrafficChanges(catalog.traffic, settings.state_file, self._follow_traffic)
        self._guards = Guards(self._changes, self.snapshot, catalog.metrics)
        catalog.metrics.observe_with(observe_process)

    async def start(self) -> None:
        await self.watcher.begin()
        self._catalog.start(self.watcher.looks, self.watcher.unloaded, self.watcher.problem)
        self._background.start("reporting that every model was tried", self._say_ready())
        self._background.repeat("watching the repository", self.watcher.watch)
        self._background.repeat("guarding aliases", self._guards.look, EVERY_S)

    async def load(self, name: str) -> None:
        await self.watcher.load(name)

    async def unload(self, name: str) -> None:
        await self.watcher.unload(name)

    async def set_alias(self, name: str, target: Meaning | None) -> bool:
        return await self._changes.set_alias(name, target)

    async def set_shadow(self, name: str, shadow: Shadow | None) -> bool:
        return await self._changes.set_shadow(name, shadow)

    async def list_disagreements(self, shadow: str) -> list[dict[str, Any]]:
        return self._catalog.disagreements.newest(shadow)

    async def find_image(self, shadow: str, disagreement: str) -> bytes | None:
        return await self._catalog.disagreements.find_image(shadow, disagreement)

    def hang_up(self, read_again: ReadAgain) -> None:
        """SIGHUP: read aliases and shadows and look at the repository, in the background."""
        self._background.start("reloading after SIGHUP", hang_up(read_again, self._changes, self.watcher))

    async def explain_unready(self) -> str:
        return self._catalog.explain_unready()

    async def snapshot(self) -> Snapshot:
        snapshot = self._catalog.metrics.snapshot()
        snapshot["convserve_ready"][()] = [float(not self._catalog.explain_unready())]
        return snapshot

    async def close(self) -> None:
        await self._background.close()
        await self.watcher.close()

    async def _follow_traffic(self) -> None:
        self._catalog.follow_traffic()

    async def _say_ready(self) -> None:
        await self._catalog.wait_until_tried()
        log.info("ready" if not (reason := self._catalog.explain_unready()) else f"not ready: {reason}")


class OneCatalog:
    """One catalog as the watcher's Served."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    async def load(self, look: Look) -> None:
        await self._catalog.load(look)

    async def note(self, look: Look) -> None:
        self._catalog.note(look)

    async def unload(self, name: str) -> None:
        self._catalog.unload(name)

    async def forget(self, name: str) -> None:
        self._catalog.forget(name)


async def hang_up(read_again: ReadAgain, changes: TrafficChanges, watcher: Watcher) -> None:
    """What SIGHUP asks for: the aliases and shadows of the settings (those before, where they can't be read), and one
    look at the repository. Says in one line what came of it.
    """
    settings = await run_in_thread(read_again)
    if settings is not None:
        await changes.follow_settings(settings.aliases, settings.shadows)
    done = ", ".join(await watcher.look()) or "nothing changed"
    models = {look.name for look in watcher.looks}
    names = []
    for name, target in changes.traffic.aliases.items():
        meant = {split_version(part)[0] for part in list_targets(target)}
        names.append(f"{name} -> {target}{'' if meant <= models else ' (no such model)'}")
    kept = "" if settings is not None else " (unchanged)"
    tried = "; ".join(f"{name}: {shadow}" for name, shadow in changes.traffic.shadows.items())
    shadows = f"; shadows: {tried}{kept}" if tried else ""
    log.info("SIGHUP: aliases: %s%s%s; repository: %s", ", ".join(names) or "none", kept, shadows, done)


def observe_process() -> Iterable[tuple[str, Labels, list[float]]]:
    """Gauges of this process."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    yield "convserve_process_resident_bytes", (), [float(measure_resident())]
    yield "convserve_process_cpu_seconds_total", (), [usage.ru_utime + usage.ru_stime]
    yield "convserve_workers", (), [1.0]
