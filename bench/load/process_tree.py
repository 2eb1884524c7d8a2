"""What a server and all its descendants use, from /proc: CPU seconds, memory; and signals that reach all of them."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Stat:
    """One process: its parent, its session, and the CPU seconds of it and of the children that it has waited for."""

    pid: int
    parent: int
    session: int
    cpu_s: float


def parse_stat(text: str) -> Stat:
    """/proc/PID/stat; the name in parentheses may itself hold spaces and parentheses."""
    pid, _, rest = text.partition(" ")
    fields = rest.rpartition(")")[2].split()
    ticks = sum(map(int, fields[11:15]))  # utime, stime, cutime, cstime
    return Stat(int(pid), int(fields[1]), int(fields[3]), ticks / _TICKS)


def read_tree(root: int, proc: Path = PROC) -> list[Stat]:
    """`root` and every process that descends from it or is of its session, which survives a lost parent."""
    found = {}
    for path in proc.glob("[0-9]*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError):  # it ended meanwhile
            stat = parse_stat(path.read_text(encoding="utf-8"))
            found[stat.pid] = stat
    members = {pid for pid, stat in found.items() if pid == root or stat.session == root}
    grown = True
    while grown:
        more = {pid for pid, stat in found.items() if stat.parent in members} - members
        members |= more
        grown = bool(more)
    return [found[pid] for pid in sorted(members)]


def cpu_seconds(root: int, proc: Path = PROC) -> float:
    """User and system time of the whole tree so far, threads included."""
    return sum(stat.cpu_s for stat in read_tree(root, proc))


def memory_mb(root: int, proc: Path = PROC) -> tuple[float, float]:
    """Of the tree: the proportional set size (a page that n processes share counts 1/n in each), and the resident
    megabytes of its largest process.
    """
    whole, largest = 0, 0
    for stat in read_tree(root, proc):
        with suppress(FileNotFoundError, ProcessLookupError):
            lines = (proc / str(stat.pid) / "smaps_rollup").read_text(encoding="utf-8").splitlines()
            sizes = {line.split(":")[0]: int(line.split()[1]) for line in lines if line.endswith(" kB")}
            whole += sizes.get("Pss", 0)
            largest = max(largest, sizes.get("Rss", 0))
    return whole / 1024, largest / 1024


def signal_tree(root: int, number: signal.Signals) -> None:
    for stat in read_tree(root):
        with suppress(ProcessLookupError):
            os.kill(stat.pid, number)
