"""LoadedModel: one version of a model, checked, warmed, replayed and ready for rows.

`load_model` makes it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import onnxruntime

from app.batching.batcher import Batcher
from app.batching.cost import Pace
from app.batching.lanes import measure_handing_over
from app.errors import DeviceFailed
from app.inference.devices import ChosenDevice, CudaOptions, choose_devices, name_devices
from app.inference.memory import measure_memory
from app.inference.meters import ModelMeters
from app.inference.plan import Measured, Plan, choose_plan
from app.inference.replay import replay
from app.inference.scores import Scores
from app.inference.session import OnnxSession
from app.machine import count_cores
from app.observe.metrics import Metrics
from app.runtime import Runtime
from app.settings import Settings
from artifact.card import ModelCard, read_card
from artifact.classifier import Classifier, read_classifier
from artifact.errors import ArtifactError
from artifact.images.frame import Pixels
from artifact.layout import MODEL_FILE
from artifact.whole import check_files

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ReadySession:
    """A session that passed every check, and what the checks measured."""

    card: ModelCard
    plan: Plan
    session: OnnxSession
    """Runs one batch with the whole device: on a CPU over all threads."""
    lanes: list[OnnxSession]
    """Sessions that run batches side by side under load, from one queue."""
    classifier: Classifier | None
    seconds_of_batch: dict[int, float]
    """Seconds of a batch in `session`, by its rows."""
    seconds_in_lane: dict[int, float]
    """Seconds of a batch in one of the lanes, by its rows."""
    replay_difference: float
    """The largest difference between a golden image's probabilities and those computed here."""
    load_s: float
    memory_bytes: int


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """One version that serves requests. Compared by identity."""

    folder: Path
    """The version's folder, which its golden images and its report are served from."""
    card: ModelCard
    devices: tuple[ChosenDevice, ...]
    max_batch_size: int
    """Rows in a batch that card and settings allow; `plan.batch_size` may be less, by what was measured here."""
    plan: Plan
    batcher: Batcher[Pixels, Scores]
    timeout_s: float
    seconds_of_batch: dict[int, float]
    """Seconds of a batch by its rows, with the whole device to itself, measured at warm-up."""
    seconds_in_lane: dict[int, float]
    """Seconds of a batch by its rows, in one of the lanes that run side by side under load."""
    replay_difference: float
    """The largest difference between a golden image's probabilities and those computed on this device."""
    load_s: float
    classifier: Classifier | None
    """The last layer of a pooled network, for class activation maps."""
    memory_bytes: int
    """Measured around the load: of this process on a CPU, of the GPU otherwise."""
    meters: ModelMeters

    @property
    def name(self) -> str:
        return self.card.name

    @property
    def version(self) -> int:
        return self.card.version

    @cached_property
    def class_prefixes(self) -> list[str]:
        """How the JSON object of each class begins, up to its probability: an answer then only adds numbers."""
        return [
            f'{{"label":{json.dumps(label, ensure_ascii=False)},"index":{index},"probability":'
            for index, label in enumerate(self.card.labels)
        ]

    @property
    def device(self) -> ChosenDevice:
        """The first of its devices, which stands for all: they are of one kind."""
        return self.devices[0]

    async def close(self) -> None:
        """Finish what was accepted, then let the session go."""
        await self.batcher.close()


def prepare_session(folder: Path, settings: Settings, runtime: Runtime = onnxruntime) -> ReadySession:
    """Check, load, warm and replay one version's folder; `settings` are those of this model. Blocks: call
    it in a thread.

    Raises ArtifactError with the reason why the folder can't be served, DeviceUnavailable where the device
    isn't there.
    """
    start = time.perf_counter()
    card = read_card(folder)
    _check_place(folder, card)
    check_files(folder, card)
    classifier = read_classifier(folder, card)
    devices = choose_devices(settings.device, runtime)
    before = [measure_memory(device) for device in devices]
    threads = settings.threads or count_cores()
    on_gpu = devices[0].is_cuda
    lanes = [_open_session(folder, card, device, settings, threads if on_gpu else 1, runtime) for device in devices]
    try:
        in_lane, *_ = [lane.warm_up() for lane in lanes]
        difference = max(replay(folder, card, lane) for lane in lanes)
        session, alone = lanes[0], in_lane
        hand_s = measure_handing_over()
        plan = choose_plan(Measured(on_gpu, len(devices), threads, session.max_batch_size, in_lane, hand_s))
        if plan.batch_size not in in_lane:  # its memory is taken now, and counted, instead of in the first rush
            in_lane[plan.batch_size] = session.measure(plan.batch_size)
        if plan.threads_alone:
            session = _open_session(folder, card, devices[0], settings, plan.threads_alone, runtime)
            alone = session.warm_up()
            difference = max(difference, replay(folder, card, session))
        if not on_gpu:
            lanes *= plan.lanes
    except ArtifactError:
        raise
    except Exception as error:
        raise ArtifactError(f"{MODEL_FILE} doesn't run on {devices[0].name}: {str(error)[:300]}") from error
    took = time.perf_counter() - start
    grown = sum(measure_memory(device) - used for device, used in zip(devices, before, strict=True))
    # Never less than the file: pages that another model gave back may be used again without a trace.
    memory = max(grown, (folder / MODEL_FILE).stat().st_size)
    log.info(
        "%s version %d is ready on %s (%s) after %.2f s, golden difference %.1g, %.0f MB",
        *(card.name, card.version, name_devices(devices), devices[0].reason, took, difference, memory / 1e6),
    )
    return ReadySession(card, plan, session, lanes, classifier, alone, in_lane, difference, took, memory)


def _open_session(
    folder: Path, card: ModelCard, device: ChosenDevice, settings: Settings, threads: int, runtime: Runtime
) -> OnnxSession:
    return OnnxSession(
        folder / MODEL_FILE,
        card,
        device,
        max_batch_size=min(card.max_batch, settings.max_batch_size),
        threads=threads,
        cuda=CudaOptions.of(settings),
        runtime=runtime,
    )


async def load_model(
    folder: Path,
    settings: Settings,
    *,
    runtime: Runtime = onnxruntime,
    metrics: Metrics | None = None,
    on_device_failure: Callable[[DeviceFailed], None] = lambda failure: None,
    in_thread: Callable[[Callable[[], ReadySession]], Awaitable[ReadySession]] = asyncio.to_thread,
) -> LoadedModel:
    """Load one version's folder in a thread and put a Batcher in front of it. `settings` are those of this
    model.

    Raises ArtifactError with the reason why it can't be served, DeviceUnavailable where the device isn't there.
    """
    ready = await in_thread(lambda: prepare_session(folder, settings, runtime))
    meters = ModelMeters(metrics or Metrics(), ready.card)
    plan = ready.plan
    batcher: Batcher[Pixels, Scores] = Batcher(
        [lane.run for lane in ready.lanes],
        max_batch_size=plan.batch_size,
        patience_s=plan.patience_s,
        inline=plan.inline,
        lend_threads=plan.lend_threads,
        alone=ready.session.run if plan.threads_alone else None,
        max_queue_rows=settings.max_queue_rows,
        max_wait_s=settings.max_wait_ms / 1e3,
        pace=Pace(ready.seconds_in_lane),
        on_batch=meters.record_batch,
        on_device_failure=on_device_failure,
    )
    return LoadedModel(
        folder,
        ready.card,
        tuple(dict.fromkeys(lane.device for lane in ready.lanes)),
        ready.session.max_batch_size,
        plan,
        batcher,
        settings.timeout_ms / 1e3,
        ready.seconds_of_batch,
        ready.seconds_in_lane,
        ready.replay_difference,
        ready.load_s,
        ready.classifier,
        ready.memory_bytes,
        meters,
    )


def _check_place(folder: Path, card: ModelCard) -> None:
    if (card.name, str(card.version)) != (folder.parent.name, folder.name):
        raise ArtifactError(
            f"the card says {card.name} version {card.version}, the folder "
            f"{folder.parent.name}/{folder.name}: "
            "a model can't be renamed by moving it, publish it under the other name"
        )
