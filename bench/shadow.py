"""A shadow held to its promise: what callers lose by it at full load, and how much it sees at half.

    python -m bench.shadow

Two versions of one network, of equal cost, are made on the spot: once one that runs on the event loop, once one that
runs in threads. wrk loads the first version at full speed, by turns without and with the second as the shadow of every
image; then requests come at half that rate, with a share of 0.2. Each run with a shadow is held against the mean of the
two beside it, and these against each other: so far apart are equal runs on this machine.

Passes where the median ratio is at least 0.97 and the median p99 with a shadow is no more than the largest without; and
where at half load 95 % of the images that the share falls on were seen when the load ends, 0.19 of all.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from app.admission.keys import hash_key
from app.client.load.open_loop import OpenResult, run_open_loop
from app.client.terminal import end_like_ctrl_c
from bench.load.shot import Shot
from bench.load.wrk import Result, require_wrk, run_wrk
from bench.service import SIZE, WHITE, make_slow_graph, serving
from tests.makers.artifacts import make_artifact

# Convolutions: of 0.6 million multiply-adds the first, of 38 million each further one.
NETWORKS = {"on the event loop": 1, "in threads": 3}
SHARE, LEAST_SEEN, LEAST_RATIO = 0.2, 0.95, 0.97
# What the open loop's generator, a Python process, can send without being late.
_MOST_OPEN_RATE = 1_500.0
_KEY = "bench"
_PATIENCE_S = 60.0
_HALF_S = 12.0


@dataclass
class Measured:
    """One network's runs at full load, and the one at half load. `beside` are those with a shadow, each between two of
    `without`.
    """

    without: list[Result] = field(default_factory=list)
    beside: list[Result] = field(default_factory=list)
    without_cpu: list[float] = field(default_factory=list)
    """Processor time that the service took for an answer, ms, of each run."""
    beside_cpu: list[float] = field(default_factory=list)
    compared: int = 0
    """Images that the shadow has seen at full load."""
    half: OpenResult | None = None
    answered: int = 0
    seen: int = 0
    """When the half load ended."""
    chosen: int = 0
    """Images of the half load that the share fell on."""

    @property
    def ratios(self) -> list[float]:
        return _beside_neighbors([run.rate for run in self.beside], [run.rate for run in self.without])

    @property
    def equals(self) -> list[float]:
        """Ratios of runs that differ in nothing."""
        return [after.rate / before.rate for before, after in pairwise(self.without)]

    @property
    def costs(self) -> list[float]:
        """As `ratios`, of the processor time for an answer."""
        return _beside_neighbors(self.beside_cpu, self.without_cpu)


class Service:
    """The shadow of a running service, by its addresses."""

    def __init__(self, port: int) -> None:
        self.port = port

    def set_shadow(self, name: str, share: float) -> None:
        self._send("PUT", name, {"of": "tiny/1", "run": "tiny/2", "share": share})

    def delete_shadow(self, name: str) -> None:
        self._send("DELETE", name)

    def compare(self, name: str) -> dict[str, Any]:
        return self._send("GET", name)

    def count_chosen(self, name: str) -> int:
        """Images that the share fell on, once none waits any more. Raises TimeoutError."""
        end, before = time.monotonic() + _PATIENCE_S, -1
        while time.monotonic() < end:
            found = self.compare(name)
            if (now := int(found["images"] + found["dropped"] + found["failed"])) == before:
                return now
            before = now
            time.sleep(0.5)
        raise TimeoutError(f"after {_PATIENCE_S:g} s the shadow {name} still had images to see")

    def read_cpu_s(self) -> float:
        """Processor time of all workers."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=30) as answer:
            lines = answer.read().decode().splitlines()
        (line,) = (line for line in lines if line.startswith("convserve_process_cpu_seconds_total "))
        return float(line.split()[1])

    def _send(self, method: str, name: str, order: dict[str, Any] | None = None) -> dict[str, Any]:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/shadows/{name}",
            None if order is None else json.dumps(order).encode(),
            {"Authorization": f"Bearer {_KEY}", "Content-Type": "application/json"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            found: dict[str, Any] = json.load(answer)
        return found


@contextmanager
def two_versions(layers: int) -> Iterator[tuple[Service, Shot]]:
    """A service with two equal versions of a network of `layers` convolutions, and what is posted to the first."""
    with tempfile.TemporaryDirectory() as folder:
        for version in (1, 2):
            make_artifact(Path(folder, "repository"), version=version, size=SIZE, graph=make_slow_graph(layers))
        image = Path(folder, "white.png")
        image.write_bytes(WHITE)
        flags = ("--repository", f"{folder}/repository", "--versions", "all", "--admin-keys", hash_key(_KEY))
        with serving(*flags) as server:
            yield Service(server.port), Shot("/predict/tiny?version=1", image, "image/png", '"version":1')


def measure(service: Service, shot: Shot, pairs: int, seconds: int, connections: int) -> Measured:
    """`pairs` pairs of runs of `seconds` seconds at full load, by turns, then one at half load."""
    found = Measured()

    def load(runs: list[Result], cpu: list[float]) -> None:
        before = service.read_cpu_s()
        runs.append(run_wrk(shot, service.port, connections, seconds))
        cpu.append(1e3 * (service.read_cpu_s() - before) / runs[-1].answers)

    run_wrk(shot, service.port, connections, seconds)  # warm
    load(found.without, found.without_cpu)
    for _ in range(pairs):
        service.set_shadow("full", 1.0)
        load(found.beside, found.beside_cpu)
        found.compared = service.compare("full")["images"]
        service.delete_shadow("full")
        load(found.without, found.without_cpu)
    rate = min(_MOST_OPEN_RATE, statistics.median(run.rate for run in found.without) / 2)
    service.set_shadow("half", SHARE)
    found.half = asyncio.run(run_open_loop([shot.read()], service.port, rate, _HALF_S, is_right=shot.is_right))
    found.answered = round(rate * _HALF_S) - found.half.lost
    found.seen = service.compare("half")["images"]
    found.chosen = service.count_chosen("half")
    service.delete_shadow("half")
    return found


def report(found: dict[str, Measured]) -> int:
    """Print what was seen; 0 where every bound was kept."""
    kept: dict[str, bool] = {}
    for network, measured in found.items():
        half = measured.half
        assert half is not None
        ratio = statistics.median(measured.ratios)
        p99, others = statistics.median(run.p99_ms for run in measured.beside), [r.p99_ms for r in measured.without]
        print(f"a network that runs {network}")
        print(f"  full load    {statistics.median(run.rate for run in measured.without):9,.0f} images/s without")
        print(f"               {statistics.median(run.rate for run in measured.beside):9,.0f} with a shadow, which saw")
        print(f"               {measured.compared:9,} images in all; with / without: {_write(measured.ratios)}")
        print(f"                         two runs without: {_write(measured.equals)}")
        print(f"  processor    {statistics.median(measured.without_cpu):9.4f} ms an answer without, with / without:")
        print(f"                         {_write(measured.costs)}")
        print(f"  p99          {p99:9.2f} ms with, {min(others):.2f} to {max(others):.2f} without")
        print(f"  half load    {half.rate:9,.0f} images/s, p99 {half.p99_ms:.2f} ms, {half.sent_late:.1%} sent late")
        print(f"               {measured.seen:9,} of {measured.chosen:,} chosen images seen when it ended, of")
        print(f"               {measured.answered:9,} answered: {measured.seen / measured.answered:.3f}")
        kept |= {
            f"{network}: {ratio:.3f} of the throughput (goal: {LEAST_RATIO:g})": ratio >= LEAST_RATIO,
            f"{network}: p99 no more than the largest without": p99 <= max(others),
            f"{network}: {measured.seen / measured.chosen:.3f} of the chosen images seen (goal: {LEAST_SEEN:g})": (
                measured.seen >= LEAST_SEEN * measured.chosen
            ),
            f"{network}: nothing wrong or lost": not (
                half.wrong or half.lost or any(run.wrong or run.lost for run in (*measured.without, *measured.beside))
            ),
        }
    for bound, held in kept.items():
        print(f"{'ok    ' if held else 'FAILED'} {bound}")
    return 0 if all(kept.values()) else 1


def _beside_neighbors(beside: list[float], without: list[float]) -> list[float]:
    """Each over the mean of the two of `without` between which it was measured."""
    return [2 * middle / sum(around) for middle, around in zip(beside, pairwise(without), strict=True)]


def _write(ratios: list[float]) -> str:
    """The median, and between what the middle half of them lies."""
    if len(ratios) < 3:
        return " ".join(f"{ratio:.3f}" for ratio in ratios)
    low, middle, high = statistics.quantiles(ratios)
    return f"{middle:.3f} (middle half {low:.3f} to {high:.3f})"


@end_like_ctrl_c()
def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=20, help="of runs at full load (default: %(default)s)")
    parser.add_argument("--seconds", type=int, default=1, help="of one run (default: %(default)s)")
    parser.add_argument("--connections", type=int, default=32, help="default: %(default)s")
    given = parser.parse_args()
    require_wrk()
    found = {}
    for network, layers in NETWORKS.items():
        with two_versions(layers) as (service, shot):
            found[network] = measure(service, shot, given.pairs, given.seconds, given.connections)
    return report(found)


if __name__ == "__main__":
    raise SystemExit(main())
