"""Loader: loads a version's folder, within memory_budget; a failure becomes the reason of a refused version."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

from app.catalog.repository import explain_foreign
from app.catalog.threads import PATIENCE_S, run_in_thread
from app.errors import DeviceFailed, OverBudget
from app.inference.model import LoadedModel
from app.observe.metrics import Metrics
from app.settings import Settings
from artifact.errors import ArtifactError
from artifact.layout import CARD_FILE, MODEL_FILE, find_foreign_graph

log = logging.getLogger(__name__)

State = Literal["loaded", "loading", "arriving", "refused", "unloaded"]
Load = Callable[..., Awaitable[LoadedModel]]

T = TypeVar("T")

# One that takes longer hangs, and others wait for their turn.
_LONGEST_LOAD_S = 600


@dataclass(frozen=True)
class Version:
    """One version of a model, as it stands.

    `model` is there where it is loaded; `reason` says why it is refused, what it lacks while it is arriving or,
    beside a model, why what is on disk now doesn't replace it.
    """

    number: int
    state: State
    reason: str = ""
    model: LoadedModel | None = None


class Loader:
    """Loads one version at a time, since the memory of a load is measured as the growth of the process."""

    def __init__(
        self, settings: Settings, load: Load, metrics: Metrics, in_memory: Callable[[], list[LoadedModel]]
    ) -> None:
        """`in_memory` gives the models that hold memory now, those that drain included."""
        self._settings = settings
        self._load = load
        self._metrics = metrics
        self._in_memory = in_memory
        self._turn = asyncio.Lock()
        self._reading: set[asyncio.Future[Any]] = set()

    @property
    def threads(self) -> int:
        """The setting `threads`: CPU cores for one model; 0 if it isn't given."""
        return self._settings.threads

    def share(self, settings: Settings) -> None:
        """Use these settings for further loads."""
        self._settings = settings

    async def load(self, name: str, number: int, on_device_failure: Callable[[DeviceFailed], None]) -> Version:
        """The version loaded, warmed and replayed, or refused with its reason. Never raises for an artifact."""
        folder = self._settings.folder / name / str(number)
        async with self._turn:
            version = await self._try(name, folder, number, on_device_failure)
        self._metrics.add("convserve_loads_total", name, version.state)
        return version

    async def close(self) -> None:
        """Wait a little for what is still being read: no thread should run on while the process ends."""
        if self._reading:
            await asyncio.wait(self._reading, timeout=PATIENCE_S)

    async def _try(
        self, name: str, folder: Path, number: int, on_device_failure: Callable[[DeviceFailed], None]
    ) -> Version:
        try:
            self._check_budget(f"{name} version {number}", await self._read(partial(_least_memory, folder)))
            async with asyncio.timeout(_LONGEST_LOAD_S):
                model = await self._load(
                    folder,
                    self._settings.of_model(name),
                    metrics=self._metrics,
                    on_device_failure=on_device_failure,
                    in_thread=self._read,
                )
            try:
                self._check_budget(f"{name} version {number}", model.memory_bytes)
            except OverBudget:
                await model.close()
                raise
        except ArtifactError as error:
            foreign = await self._read(partial(_find_foreign, folder))
            reason = error.detail if foreign is None else explain_foreign(foreign, self._settings.folder)
        except OSError as error:  # a TimeoutError too
            reason = f"{error.filename or folder} can't be read ({error.strerror or 'it takes too long'})"
        except Exception as error:  # a defect of ours in one model must not stop the others either
            log.exception("%s version %d is refused: an unexpected error", name, number)
            reason = f"an unexpected error ({type(error).__name__}): see the server's log"
            return Version(number, "refused", reason)
        else:
            return Version(number, "loaded", model=model)
        log.error("%s version %d is refused: %s", name, number, reason)
        return Version(number, "refused", reason)

    async def _read(self, work: Callable[[], T]) -> T:
        reading = run_in_thread(work)
        self._reading.add(reading)
        reading.add_done_callback(self._reading.discard)
        return await asyncio.shield(reading)

    def _check_budget(self, what: str, needed: int) -> None:
        """Raises OverBudget with the figures."""
        budget = self._settings.memory_budget * 1_000_000
        held = self._in_memory()
        used = sum(model.memory_bytes for model in held)
        if budget and used + needed > budget:
            by = ", ".join(f"{model.name} version {model.version} {model.memory_bytes / 1e6:,.0f}" for model in held)
            raise OverBudget(
                f"{what} needs {needed / 1e6:,.0f} MB, and {used / 1e6:,.0f} of the {budget / 1e6:,.0f} MB of "
                f"memory_budget are used ({by or 'by no model'}): unload a model or raise memory_budget"
            )


def _least_memory(folder: Path) -> int:
    """A lower bound of a version's memory in bytes: the size of its graph."""
    try:
        return (folder / MODEL_FILE).stat().st_size
    except OSError:
        return 0  # a folder without a graph is refused for a better reason


def _find_foreign(folder: Path) -> Path | None:
    """The lone graph of a version that has no card."""
    return None if (folder / CARD_FILE).exists() else find_foreign_graph(folder.parent)
