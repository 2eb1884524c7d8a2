"""LoadedModel: one version of a model, checked, warmed, replayed and ready for rows.

`load_model` makes it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnxruntime

from app.batching import Batcher
from app.card import MODEL_FILE, ModelCard, read_card
from app.classifier import Classifier, read_classifier
from app.devices import ChosenDevice, choose_device
from app.errors import ArtifactError, DeviceFailed
from app.golden import check_sha256, replay
from app.images import Pixels
from app.pace import Pace
from app.session import OnnxSession, Scores
from app.settings import Settings, count_cores

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ReadySession:
    """A session that passed every check, and what the checks measured."""

    card: ModelCard
    session: OnnxSession
    classifier: Classifier | None
    seconds_of_batch: dict[int, float]
    replay_difference: float
    load_s: float


@dataclass(frozen=True)
class LoadedModel:
    """What the routes predict with."""

    folder: Path
    """Where the version stands: its golden images and its report are served from there."""
    card: ModelCard
    device: ChosenDevice
    batcher: Batcher[Pixels, Scores]
    timeout_s: float
    seconds_of_batch: dict[int, float]
    """Measured at warm-up on this device, by rows."""
    replay_difference: float
    """The largest departure of a golden probability on this device."""
    load_s: float
    classifier: Classifier | None
    """The last layer of a pooled network, for class activation maps."""

    @property
    def name(self) -> str:
        return self.card.name

    @property
    def version(self) -> int:
        return self.card.version

    async def close(self) -> None:
        """Finish what was accepted, then let the session go."""
        await self.batcher.close()


def prepare_session(folder: Path, settings: Settings, runtime: Any = onnxruntime) -> ReadySession:
    """Check, load, warm and replay one version's folder; `settings` are those of this model. Blocks: call
    it in a thread.

    Raises ArtifactError with the reason why the folder can't be served, DeviceUnavailable where the device
    isn't there.
    """
    start = time.perf_counter()
    card = read_card(folder)
    _check_place(folder, card)
    check_sha256(folder, card)
    classifier = read_classifier(folder, card)
    device = choose_device(settings.device, runtime)
    session = OnnxSession(
        folder / MODEL_FILE,
        card,
        device,
        max_batch_size=min(card.max_batch, settings.max_batch_size),
        threads=settings.threads or count_cores(),
        runtime=runtime,
    )
    try:
        seconds_of_batch = session.warm_up()
        difference = replay(folder, card, session)
    except ArtifactError:
        raise
    except Exception as error:
        raise ArtifactError(f"{MODEL_FILE} doesn't run on {device.name}: {str(error)[:300]}") from error
    took = time.perf_counter() - start
    log.info(
        "%s version %d is ready on %s (%s) after %.2f s, golden difference %.1g",
        *(card.name, card.version, device.name, device.reason, took, difference),
    )
    return ReadySession(card, session, classifier, seconds_of_batch, difference, took)


async def load_model(
    folder: Path,
    settings: Settings,
    *,
    runtime: Any = onnxruntime,
    on_device_failure: Callable[[DeviceFailed], None] = lambda failure: None,
) -> LoadedModel:
    """Load one version's folder in a thread and put a Batcher in front of it. `settings` are those of this
    model.

    Raises ArtifactError with the reason why it can't be served.
    """
    ready = await asyncio.to_thread(prepare_session, folder, settings, runtime)
    batcher: Batcher[Pixels, Scores] = Batcher(
        [ready.session.run],
        max_batch_size=ready.session.max_batch_size,
        max_queue_rows=settings.max_queue_rows,
        max_wait_s=settings.max_wait_ms / 1e3,
        pace=Pace(ready.seconds_of_batch),
        on_device_failure=on_device_failure,
    )
    return LoadedModel(
        folder,
        ready.card,
        ready.session.device,
        batcher,
        settings.timeout_ms / 1e3,
        ready.seconds_of_batch,
        ready.replay_difference,
        ready.load_s,
        ready.classifier,
    )


def _check_place(folder: Path, card: ModelCard) -> None:
    if (card.name, str(card.version)) != (folder.parent.name, folder.name):
        raise ArtifactError(
            f"the card says {card.name} version {card.version}, the folder "
            f"{folder.parent.name}/{folder.name}: "
            "a model can't be renamed by moving it, publish it under the other name"
        )
