"""What a process may use: cores and memory, by affinity and control groups of both versions."""

import os
from pathlib import Path

import pytest

from app.machine import count_cores, find_memory_limit

MACHINE = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
HALF = MACHINE // 2


def write_all(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({}, 4),
        ({"cpu.max": "max 100000\n"}, 4),
        ({"cpu.max": "200000 100000\n"}, 2),
        ({"cpu.max": "50000 100000\n"}, 1),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 4),
        ({"cpu/cpu.cfs_quota_us": "300000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3),
        ({"cpu/cpu.cfs_quota_us": "50000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 1),
        ({"cpu/cpu.cfs_quota_us": "50000\n"}, 4),
    ],
)
def test_cores_are_those_that_the_control_group_allows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], cores: int
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)
    write_all(tmp_path, files)
    assert count_cores(tmp_path) == cores


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({}, MACHINE),
        ({"memory.max": "max\n"}, MACHINE),
        ({"memory.max": f"{HALF}\n"}, HALF),
        ({"memory.max": f"{2 * MACHINE}\n"}, MACHINE),
        ({"memory/memory.limit_in_bytes": "9223372036854771712\n"}, MACHINE),
        ({"memory/memory.limit_in_bytes": f"{HALF}\n"}, HALF),
    ],
)
def test_memory_is_what_the_control_group_allows(tmp_path: Path, files: dict[str, str], limit: int) -> None:
    write_all(tmp_path, files)
    assert find_memory_limit(tmp_path) == limit


@pytest.mark.parametrize(
    ("own", "files"),
    [
        ("0::/system.slice/convserve.service", {"system.slice/convserve.service/memory.max": "500000\n"}),
        ("0::/system.slice/convserve.service", {"system.slice/memory.max": "500000\n", "memory.max": "900000"}),
        ("4:memory:/docker/1f\n0::/", {"memory/docker/1f/memory.limit_in_bytes": "500000\n"}),
        ("4:memory:/docker/1f\n0::/", {"memory/memory.limit_in_bytes": "500000\n"}),  # a container sees itself on top
    ],
)
def test_the_smallest_limit_of_the_own_group_and_those_around_it_holds(
    tmp_path: Path, own: str, files: dict[str, str]
) -> None:
    write_all(tmp_path, {**files, "own": own})
    assert find_memory_limit(tmp_path, tmp_path / "own") == 500_000


def test_a_quota_of_the_service_alone_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)
    write_all(tmp_path, {"own": "0::/a/b", "a/b/cpu.max": "300000 100000\n", "a/cpu.max": "max 100000\n"})
    assert count_cores(tmp_path, tmp_path / "own") == 3
