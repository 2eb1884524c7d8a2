"""Measurements as the load benchmark would have taken them."""

from bench.load.limit import Limit
from bench.load.measurements import ModelResult, Sample, ServerFacts


def sample(server: str, connections: int, rate: float, round: int = 0, **changed: object) -> Sample:
    figures = {"p50_ms": 1.0, "p95_ms": 1.5, "p99_ms": 2.0, "errors": 0, "cpu_ms": 0.05, "generator_ms": 0.02}
    return Sample(server, connections, round, rate, **{**figures, **changed})  # type: ignore[arg-type]  # all are its fields


def result(model: str, rates: dict[str, dict[int, float]], limit: float = 50_000.0) -> ModelResult:
    """One round: server -> connections -> requests a second."""
    found = ModelResult(model, "an image")
    found.samples = [sample(name, count, rate) for name, runs in rates.items() for count, rate in runs.items()]
    found.servers = {name: ServerFacts(0.5, "package==1", 150.0, 100.0) for name in rates}
    found.limits = [{"loop": Limit(limit, "a loop")}]
    return found
