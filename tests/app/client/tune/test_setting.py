from dataclasses import replace
from pathlib import Path

import pytest

from app.client.tune.setting import (
    Room,
    Setting,
    name_variants,
    vary_batch,
    vary_model,
    vary_threads,
    vary_wait,
    vary_workers,
)
from app.settings import ModelSettings
from app.settings_sources import load_settings

FIRST = Setting("net.v2", 1, 0, 32, 0.0)
ROOM = Room(("net.v2", "net.v2-int8"), 8, False, 32, lambda model: 10, 30.0)


def test_the_file_is_read_by_the_service_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "tuned.toml"
    file.write_text(
        Setting("net.v2", "auto", 4, 16, 2.5).write_toml(Path('/a "b"/é'), "cpu", ["why"]), encoding="utf-8"
    )
    settings = load_settings([], file, environment=False)
    assert (settings.repository, settings.load, settings.workers) == (Path('/a "b"/é'), ["net.v2"], "auto")
    assert settings.model == {"net.v2": ModelSettings(threads=4, max_batch_size=16, max_wait_ms=2.5)}
    assert settings.device == "cpu"


def test_variants_have_the_names_that_the_export_stage_gives() -> None:
    assert {"net-int8", "net-fp16"} <= set(name_variants("net"))


def test_every_variant_and_number_of_workers_is_worth_a_try() -> None:
    assert [path[0].model for path in vary_model(FIRST, ROOM)] == ["net.v2", "net.v2-int8"]
    threaded = replace(FIRST, threads=4)
    found = [path[0] for path in vary_workers(threaded, ROOM)]
    assert [(setting.workers, setting.threads) for setting in found] == [(1, 0), (2, 0), (4, 0), (8, 0)]
    assert [path[0].workers for path in vary_workers(FIRST, replace(ROOM, on_gpu=True))] == [1, 2]


@pytest.mark.parametrize(
    ("workers", "threads", "ways"),
    [(1, 0, [[], [4, 2, 1]]), (1, 2, [[4, 0], [1]]), (4, 0, [[], [1]]), (8, 0, [[], []])],
)
def test_threads_share_the_cores_of_their_worker(workers: int, threads: int, ways: list[list[int]]) -> None:
    paths = vary_threads(replace(FIRST, workers=workers, threads=threads), ROOM)
    assert [[setting.threads for setting in path] for path in paths] == ways
    assert not list(vary_threads(FIRST, replace(ROOM, on_gpu=True)))


def test_batches_larger_than_what_gains_change_nothing() -> None:
    assert [[setting.max_batch_size for setting in path] for path in vary_batch(FIRST, ROOM)] == [[8, 4, 2, 1]]
    gains = replace(ROOM, batch_size=lambda model: 32, largest_batch=128)
    found = [[setting.max_batch_size for setting in path] for path in vary_batch(FIRST, gains)]
    assert found == [[16, 8, 4, 2, 1], [64, 128]]


def test_waits_leave_half_of_the_p99_to_the_run() -> None:
    found = [[setting.max_wait_ms for setting in path] for path in vary_wait(replace(FIRST, max_wait_ms=5.0), ROOM)]
    assert found == [[10.0], [2.0, 0.0]]
