"""What the load benchmark measured of one model, and the medians over its rounds. Plain values, written as JSON."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field

from app.client.load.open_loop import OpenResult
from bench.load.limit import Latency, Limit
from bench.load.servers import OURS


@dataclass(frozen=True)
class Sample:
    """One server under load in one round. `cpu_ms` and `generator_ms` are CPU time an answer, `errors` every answer
    that was wrong and every request that was lost.
    """

    server: str
    connections: int
    round: int
    rate: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    errors: int
    cpu_ms: float
    generator_ms: float
    wrong_answer: str = ""


@dataclass(frozen=True)
class OpenSample:
    """One server at a fixed rate of requests in one round."""

    server: str
    round: int
    result: OpenResult


@dataclass
class ServerFacts:
    """`memory_mb` is the proportional set size of all its processes, `largest_mb` what is resident in the largest:
    the most that was seen after a load. `ready_s` is the shortest of its starts, `version` that of its main package.
    """

    ready_s: float
    version: str
    memory_mb: float = 0.0
    largest_mb: float = 0.0


@dataclass
class ModelResult:
    """All of one model. `limits` and `latencies` have one entry a round, measured in process; a limit is every loop or
    ceiling that was tried, by its name.
    """

    model: str
    title: str
    samples: list[Sample] = field(default_factory=list)
    open_samples: list[OpenSample] = field(default_factory=list)
    servers: dict[str, ServerFacts] = field(default_factory=dict)
    limits: list[dict[str, Limit]] = field(default_factory=list)
    latencies: list[Latency] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)
    changed: int | None = None
    """Top-1 answers that reduced decoding changes."""

    def names(self) -> list[str]:
        return list(dict.fromkeys(sample.server for sample in self.samples))

    def connections(self) -> list[int]:
        return sorted({sample.connections for sample in self.samples})

    def median(self, server: str, connections: int) -> Sample | None:
        """Of every figure by itself; errors are added up. None where it wasn't measured."""
        return merge(s for s in self.samples if (s.server, s.connections) == (server, connections))

    def limit(self) -> Limit | None:
        """The best loop by its median over the rounds."""
        found = [
            Limit(statistics.median(one[name].rate for one in self.limits), self.limits[-1][name].how)
            for name in (self.limits[0] if self.limits else ())
        ]
        return max(found, key=lambda limit: limit.rate, default=None)

    def latency(self) -> Latency | None:
        """The medians over the rounds."""
        if not self.latencies:
            return None
        return Latency(
            statistics.median(one.p50_ms for one in self.latencies),
            statistics.median(one.p99_ms for one in self.latencies),
        )

    def best_peer(self, connections: int) -> Sample | None:
        """The peer with the highest rate."""
        found = (self.median(name, connections) for name in self.names() if name != OURS)
        return max((sample for sample in found if sample), key=lambda sample: sample.rate, default=None)


def merge(samples: Iterable[Sample]) -> Sample | None:
    """Medians of the same server and connections over rounds."""
    rounds = list(samples)
    if not rounds:
        return None
    figures = ("rate", "p50_ms", "p95_ms", "p99_ms", "cpu_ms", "generator_ms")
    return Sample(
        server=rounds[0].server,
        connections=rounds[0].connections,
        round=len(rounds),
        errors=sum(sample.errors for sample in rounds),
        wrong_answer=next((sample.wrong_answer for sample in rounds if sample.wrong_answer), ""),
        **{name: statistics.median(getattr(sample, name) for sample in rounds) for name in figures},
    )
