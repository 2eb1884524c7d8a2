"""What a run of the command measures: everything on a GPU, small networks and few sizes on a CPU, where the same code
is only kept from rotting.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import onnxruntime

from app.inference.devices import ChosenDevice, choose_device
from app.runtime import Runtime
from artifact.card import ModelCard, read_card
from bench.gpu.pack import Packed, PackError, list_packed, unpack

Step = tuple[str, Callable[[], dict[str, Any]]]
Piece = Callable[["Plan"], Iterator[Step]]
"""Gives named steps: each runs for a minute or two at the most, and what it gives back is kept as JSON."""

SMALL = ("lenet5", "resnet18_series")
SERVED = ("resnet50", "vgg16", "lenet5")


@dataclass(frozen=True)
class Opened:
    """A model of the pack, unpacked."""

    packed: Packed
    folder: Path
    card: ModelCard


@dataclass(frozen=True)
class Plan:
    runtime: Literal["gpu", "cpu"]
    pack: Path
    out: Path
    networks: tuple[str, ...] = ()
    """None named: all of the pack, on a CPU the small ones."""
    batches: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64, 128)
    connections: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64, 128, 256)
    beyond: tuple[int, ...] = (512,)
    """Connections for which max_queue_rows is raised to 1,024."""
    seconds: float = 0.5
    """Of one measurement in process."""
    load_seconds: float = 3.0
    """Of one measurement over HTTP."""
    reloads: int = 200
    patience_s: float = 60.0
    """How long a server that lost its memory or its device is watched."""
    side: int = 8192
    """Of the matrices by which the card's rate is measured."""
    copied: int = 1 << 28
    """Numbers in the vector by which its memory's rate is measured."""
    onnx: Runtime = onnxruntime
    """The runtime in this process; a test's stands in for one with a GPU."""

    @property
    def repository(self) -> Path:
        return self.out / "repository"

    @cached_property
    def packed(self) -> dict[str, Packed]:
        """The pack's models that are measured, by name. Raises PackError for one that it lacks."""
        there = list_packed(self.pack)
        wanted = self.networks or (SMALL if self.runtime == "cpu" else tuple({p.network for p in there.values()}))
        missing = [name for name in wanted if name not in there]
        if missing:
            raise PackError(
                f"{self.pack} has no {', '.join(missing)}, only {', '.join(there)}: "
                f"`python -m bench.gpu prepare {' '.join(missing)}` makes it where TensorFlow is"
            )
        return {name: packed for name, packed in there.items() if packed.network in wanted}

    @property
    def names(self) -> list[str]:
        """The networks, those of least work first; without their variants in half precision."""
        whole = [packed for packed in self.packed.values() if packed.name == packed.network]
        return [packed.name for packed in sorted(whole, key=lambda packed: packed.multiply_adds)]

    @property
    def served(self) -> list[str]:
        """The networks that are loaded over HTTP, as far as the plan has them; else its first."""
        return [name for name in SERVED if name in self.packed] or self.names[:1]

    def has(self, name: str) -> bool:
        return name in self.packed

    def open(self, name: str) -> Opened:
        packed = self.packed[name]
        folder = unpack(self.pack, packed, self.repository)
        return Opened(packed, folder, read_card(folder))

    @cached_property
    def device(self) -> ChosenDevice:
        """Raises DeviceUnavailable where the plan is for a GPU and none works."""
        return choose_device("cuda" if self.runtime == "gpu" else "cpu", self.onnx)


def plan_for_cpu(pack: Path, out: Path, networks: tuple[str, ...] = ()) -> Plan:
    """A minute on two cores."""
    return Plan(
        "cpu",
        pack,
        out,
        networks,
        batches=(1, 4),
        connections=(1, 8),
        beyond=(),
        seconds=0.1,
        load_seconds=1.5,
        reloads=5,
        side=1024,
        copied=1 << 20,
    )
