"""What of the machine this process may use: the cores of its affinity and control groups, and the memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_GROUPS, _OWN = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
# The controller's folder and its files, in version 2 of control groups and in version 1: quota and period of the CPU,
# bytes of memory. Without a limit there is max, -1, or more than any machine has.
_CPU = {"": ["cpu.max"], "cpu": ["cpu.cfs_quota_us", "cpu.cfs_period_us"]}
_MEMORY = {"": ["memory.max"], "memory": ["memory.limit_in_bytes"]}


def count_cores(groups: Path = _GROUPS, own: Path = _OWN) -> int:
    """Cores that this process may use: its affinity, and the CPU quota of its control groups (a container's --cpus), of
    version 2 or 1, seen under `groups`; `own` names them.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for quota, period in _read_limits(_CPU, groups, own):
        cores = min(cores, quota // period)
    return max(1, cores)


def find_memory_limit(groups: Path = _GROUPS, own: Path = _OWN) -> int:
    """Bytes of memory that this process may use: the machine's, and the limit of its control groups (a container's
    --memory).
    """
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min([machine, *(limit for (limit,) in _read_limits(_MEMORY, groups, own))])


def _read_limits(versions: dict[str, list[str]], groups: Path, own: Path) -> Iterator[list[int]]:
    """The numbers of every limit that is set on the process: by the groups it is in, and by those around them."""
    for controller, files in versions.items():
        for group in _find_groups(controller, own):
            with suppress(OSError, ValueError):  # not this version, or no limit here
                words = " ".join(
                    (groups / controller / group / file).read_text(encoding="utf-8") for file in files
                ).split()
                if words[0] != "-1":
                    yield [int(word) for word in words]


def _find_groups(controller: str, own: Path) -> list[str]:
    """Where the process's group stands below a controller's folder, and all around it. In a container, whose own group
    is the top of what it sees, only the last is found.
    """
    with suppress(OSError):
        for line in own.read_text(encoding="utf-8").splitlines():
            _, controllers, path = line.split(":", 2)
            if controller in controllers.split(","):
                return [str(group).lstrip("/") for group in (Path(path), *Path(path).parents)]
    return [""]
