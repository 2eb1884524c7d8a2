"""Plan: how a version is run, chosen from what loading measured. Numbers in, choices out: knows no session and no
thread.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from app.batching.cost import choose_batch_size, fit_cost

INLINE_S = 0.008
"""Seconds. A network whose largest batch takes less runs on the event loop, which it blocks for that time: a refusal, a
health check or another model's rows wait no longer.
"""


@dataclass(frozen=True)
class Measured:
    """What the warm-up of one lane has measured of a version."""

    on_gpu: bool
    devices: int
    """GPUs that the version is loaded on; 1 on a CPU."""
    threads: int
    """Cores that the version may use on a CPU."""
    largest_batch: int
    """Rows that the card and the settings allow in one batch."""
    seconds_in_lane: Mapping[int, float]
    """Seconds of a batch, by its rows, in one lane: a GPU, or one thread of a CPU. Large batches of a slow network
    aren't measured.
    """
    handing_over_s: float
    """Seconds of the way to a lane's thread and back."""


@dataclass(frozen=True)
class Plan:
    """How one version is run."""

    inline: bool
    """On the event loop itself, without a thread."""
    lanes: int
    """Batches that run side by side, each in a thread of its own: one per GPU, or one per core. Inline there is one."""
    threads_alone: int
    """Threads of the session that runs a batch when no other row runs or waits; 0 where there is no such session."""
    batch_size: int
    """The batch size above which throughput no longer rises, or the largest that is allowed."""
    patience_s: float
    """Seconds that the batcher waits for clients that were just answered: as long as a larger batch can save."""
    lend_threads: bool
    """Whether idle lanes' threads decode the images that they will run."""


def choose_plan(measured: Measured) -> Plan:
    """The plan for what was measured; it depends on nothing else."""
    cost = fit_cost(measured.seconds_in_lane, measured.handing_over_s)
    inline = not measured.on_gpu and measured.seconds_in_lane.get(measured.largest_batch, INLINE_S) < INLINE_S
    # On a CPU threads that share one image wait for each other: under load one thread per image does more.
    shares_cores = not measured.on_gpu and not inline and measured.threads > 1
    return Plan(
        inline=inline,
        lanes=measured.threads if shares_cores else measured.devices,
        threads_alone=measured.threads if shares_cores else 0,
        batch_size=choose_batch_size(cost, measured.largest_batch),
        patience_s=cost.fixed_s,  # waiting costs at most what it can save
        # On a CPU a thread woken beside an idle lane takes a busy one's core as often as the free one: the lane had
        # better decode its next image itself. A GPU's threads are only for feeding it.
        lend_threads=not measured.on_gpu and not inline,
    )
