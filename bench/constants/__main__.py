"""python -m bench.constants: what each constant of the serving engine gives here, beside half and double of it.

For each a server with the value that stands in the code, one with half and one with double of it are started, and
loaded by wrk by turns. A constant that matters here, and that doesn't give its best, belongs to another machine.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from app.client.terminal import end_like_ctrl_c
from bench.constants.changed import change, environment
from bench.constants.constants import CONSTANTS, Constant
from bench.constants.workloads import Workload
from bench.load.__main__ import describe_machine
from bench.load.launches import ROOT, choose_image, our_launch
from bench.load.models import publish
from bench.load.servers import Launch, Server
from bench.load.table import align
from bench.load.wrk import Result, require_wrk, run_wrk
from export.progress import say

FACTORS = (0.5, 1.0, 2.0)


@end_like_ctrl_c()
def main() -> int:
    given = parse_arguments()
    require_wrk()
    print(describe_machine(), flush=True)
    rows = []
    for constant in given.constants:
        for workload in constant.workloads:
            found = measure(constant, workload, given.out.resolve(), given.seconds, given.rounds)
            rows.append(write_row(constant, workload, found))
            say(" ".join(rows[-1]))
    print(write_table(rows))
    return 0


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="some of the constants, by name, with commas between them")
    parser.add_argument("--seconds", type=int, default=2, help="of each run (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=2, help="the table shows their medians (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("build/bench"), help="default: %(default)s")
    given = parser.parse_args(arguments)
    names = [name for name in given.only.split(",") if name]
    if unknown := set(names) - {constant.name for constant in CONSTANTS}:
        known = ", ".join(constant.name for constant in CONSTANTS)
        parser.error(f"--only: there is no {', '.join(sorted(unknown))}; there are {known}")
    if given.seconds < 1 or given.rounds < 1:
        parser.error("--seconds and --rounds are at least 1")
    given.constants = [constant for constant in CONSTANTS if not names or constant.name in names]
    return given


def measure(constant: Constant, workload: Workload, folder: Path, seconds: int, rounds: int) -> list[list[Result]]:
    """The runs with each of FACTORS: a list a factor, by turns."""
    published = publish(workload.model, folder)
    image, label = choose_image(published, workload.model.images(folder / "images"))
    usual = our_launch(workload.model, image, label, folder)
    results: list[list[Result]] = [[] for _ in FACTORS]
    with ExitStack() as stack:
        servers = []
        for factor in FACTORS:
            server = _start(usual, constant, factor, folder / "work" / "constants")
            stack.callback(server.stop)
            run_wrk(server.shot, server.port, workload.connections, 1)
            server.freeze()
            servers.append(server)
        for _ in range(rounds):
            for server, runs in zip(servers, results, strict=True):
                server.thaw()
                runs.append(run_wrk(server.shot, server.port, workload.connections, seconds))
                server.freeze()
    return results


def _start(usual: Launch, constant: Constant, factor: float, folder: Path) -> Server:
    """The service with `factor` times the constant. Raises StartFailed."""
    changed = change(folder / f"{factor:g}", [(constant.module, constant.name, constant.times(factor))])
    return Server(replace(usual, name=f"times-{factor:g}", variables=lambda port: environment(changed, ROOT)))


def write_row(constant: Constant, workload: Workload, results: list[list[Result]]) -> list[str]:
    wrong = sum(run.wrong + run.lost for runs in results for run in runs)
    return [
        f"{constant.value:g}",
        f"{constant.module}.{constant.name}",
        workload.title,
        *(f"{_median(runs, lambda run: run.rate):,.1f}" for runs in results),
        *(f"{_median(runs, lambda run: run.p99_ms):.2f}" for runs in results),
        f"{wrong:,}",
    ]


def write_table(rows: Iterable[list[str]]) -> str:
    head = ["value", "constant", "tried with", "half", "here", "double", "p99 ms half", "here", "double", "wrong"]
    return align(head, rows)


def _median(runs: list[Result], figure: Callable[[Result], float]) -> float:
    return statistics.median(figure(run) for run in runs)


if __name__ == "__main__":
    raise SystemExit(main())
