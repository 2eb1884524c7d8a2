"""The constants that decide how fast the serving engine is, where each stands, and what each is tried with.

Limits of what a client may ask for, and deadlines, aren't among them: no machine's speed is in those.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module

from bench.constants.workloads import Workload, digits_of, labels_of, network_of, photos_of, usual


@dataclass(frozen=True)
class Constant:
    """A number in a module of the service: an integer where it counts something."""

    module: str
    name: str
    workloads: tuple[Workload, ...]
    """Where it decides on both sides of it: one has to lie below, another above."""

    @property
    def value(self) -> float:
        found: float = getattr(import_module(self.module), self.name)
        return found

    def times(self, factor: float) -> float:
        """The value times `factor`; a count stays whole, and at least 1."""
        value = self.value
        return max(1, round(value * factor)) if isinstance(value, int) else value * factor


CONSTANTS = (
    Constant("app.inference.plan", "INLINE_S", (network_of(6, 8), network_of(12, 8))),
    Constant("app.inference.session", "_CPU_WARM_UP_S", (usual("resnet18", 32),)),
    Constant("app.inference.session", "_SPIN_US", (usual("resnet18", 1),)),
    Constant("app.batching.cost", "_LEFT_TO_GAIN", (usual("resnet18", 64),)),
    Constant("app.inference.decoder", "_QUICK_BYTES", (photos_of(200, 2), photos_of(350, 2))),
    Constant("app.inference.scores", "_FEW_CLASSES", (labels_of(24, 32), labels_of(48, 32))),
    Constant("artifact.images.plain", "SMALL_PIXELS", (digits_of(112, 8), digits_of(160, 8))),
    Constant("app.server.busy_poll", "SOON_S", (usual("lenet5", 1),)),
    Constant("app.server.fast_path", "_FEW_ROWS", (usual("lenet5", 64),)),
)
