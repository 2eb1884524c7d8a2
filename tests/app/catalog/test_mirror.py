"""What of a store comes into the cache folder, and that nothing half or wrong ever does."""

import asyncio
import json
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path

import pytest

from app.catalog.mirror import AsyncMirror, Mirror
from app.settings import Settings
from artifact.errors import StoreError
from artifact.layout import CARD_FILE, MODEL_FILE, list_models, list_versions
from tests.makers.artifacts import damage, make_artifact, sign
from tests.makers.stores import FolderStore

ADDRESS = "s3://stand-in/models"


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    make_artifact(tmp_path / "store")
    return FolderStore(tmp_path / "store")


def mirror_of(store: FolderStore, tmp_path: Path, **settings: object) -> Mirror:
    return Mirror(Settings(repository=ADDRESS, cache_dir=tmp_path / "cache", **settings), store)


def held(mirror: Mirror) -> dict[str, list[int]]:
    return {name: list_versions(mirror.folder / name) for name in list_models(mirror.folder)}


def leftovers(mirror: Mirror) -> list[Path]:
    return list(mirror.folder.glob(".copy-*"))


def test_a_version_is_copied_once_and_as_it_is(store: FolderStore, tmp_path: Path) -> None:
    mirror = mirror_of(store, tmp_path)
    assert not mirror.is_filled
    assert mirror.refresh() == {}
    copied = mirror.folder / "tiny/1"
    for path in (path for path in (store.folder / "tiny/1").rglob("*") if path.is_file()):
        assert (copied / path.relative_to(store.folder / "tiny/1")).read_bytes() == path.read_bytes()
    store.copied.clear()
    assert mirror.refresh() == mirror_of(store, tmp_path).refresh() == {}
    assert not store.copied, "nor by the next process"
    assert mirror.is_filled


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, {"other": [1], "tiny": [3]}),
        ({"versions": "all"}, {"other": [1], "tiny": [1, 2, 3]}),
        ({"versions": "1,3"}, {"other": [1], "tiny": [1, 3]}),
        ({"load": ["tiny"]}, {"tiny": [3]}),
    ],
)
def test_only_what_the_settings_ask_for_is_copied(
    store: FolderStore, tmp_path: Path, settings: dict[str, object], expected: dict[str, list[int]]
) -> None:
    for name, version in (("tiny", 2), ("tiny", 3), ("other", 1)):
        make_artifact(store.folder, name, version)
    mirror = mirror_of(store, tmp_path, **settings)
    mirror.refresh()
    assert held(mirror) == expected


def test_a_card_that_is_nested_too_deeply_holds_up_no_other_model(store: FolderStore, tmp_path: Path) -> None:
    (make_artifact(store.folder, "other") / CARD_FILE).write_text("[" * 200_000)
    mirror = mirror_of(store, tmp_path)
    assert list(mirror.refresh()) == ["other"]
    assert held(mirror) == {"tiny": [1]}


def test_a_model_asked_for_by_hand_is_copied_though_the_settings_do_not_load_it(
    store: FolderStore, tmp_path: Path
) -> None:
    make_artifact(store.folder, "other")
    mirror = mirror_of(store, tmp_path, load=["tiny"])
    mirror.refresh(["other"])
    assert held(mirror) == {"other": [1]}
    mirror.refresh()
    assert held(mirror) == {"other": [1], "tiny": [1]}, "and it is followed from then on"


def test_what_arrives_is_waited_for_and_the_older_version_taken_meanwhile(store: FolderStore, tmp_path: Path) -> None:
    folder = make_artifact(store.folder, version=2)
    graph = (folder / MODEL_FILE).read_bytes()
    (folder / MODEL_FILE).write_bytes(graph[:100])
    mirror = mirror_of(store, tmp_path)
    problem = mirror.refresh()["tiny"]
    assert problem == f"tiny version 2 in {ADDRESS}: it lacks model.onnx (100 of {len(graph):,} bytes)"
    assert held(mirror) == {"tiny": [1]}
    (folder / MODEL_FILE).unlink()
    assert mirror.refresh()["tiny"].endswith("it lacks model.onnx")
    (folder / MODEL_FILE).write_bytes(graph)
    assert mirror.refresh() == {}
    assert held(mirror) == {"tiny": [1, 2]}


def test_a_damaged_version_is_copied_once_and_again_when_it_was_mended(
    store: FolderStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = make_artifact(store.folder, version=2)
    graph = (folder / MODEL_FILE).read_bytes()
    damage(folder)
    mirror = mirror_of(store, tmp_path)
    assert "model.onnx is damaged or was replaced: its sha256 is" in mirror.refresh()["tiny"]
    assert held(mirror) == {"tiny": [1]}
    assert not leftovers(mirror)
    store.copied.clear()
    assert "model.onnx is damaged" in mirror.refresh()["tiny"]
    assert not store.copied
    assert len([record for record in caplog.records if "is damaged" in record.getMessage()]) == 1
    (folder / MODEL_FILE).write_bytes(graph)
    assert mirror.refresh() == {}
    assert held(mirror) == {"tiny": [1, 2]}


def test_a_damaged_version_is_had_once_its_card_says_so(store: FolderStore, tmp_path: Path) -> None:
    folder = make_artifact(store.folder, version=2)
    damage(folder)
    mirror = mirror_of(store, tmp_path)
    assert "model.onnx is damaged" in mirror.refresh()["tiny"]
    sign(folder)
    assert mirror.refresh() == {}
    assert held(mirror) == {"tiny": [1, 2]}


def test_a_file_exchanged_in_the_store_leaves_the_copy_as_it_is(store: FolderStore, tmp_path: Path) -> None:
    mirror = mirror_of(store, tmp_path)
    mirror.refresh()
    graph = (mirror.folder / "tiny/1" / MODEL_FILE).read_bytes()
    damage(store.folder / "tiny/1")
    assert "model.onnx is damaged" in mirror.refresh()["tiny"]
    assert (mirror.folder / "tiny/1" / MODEL_FILE).read_bytes() == graph


def test_a_copy_that_the_disk_has_damaged_is_had_again_by_the_next_process(
    store: FolderStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    mirror = mirror_of(store, tmp_path)
    mirror.refresh()
    damage(mirror.folder / "tiny/1")
    assert mirror_of(store, tmp_path).refresh() == {}
    found, copied = (folder / "tiny/1" / MODEL_FILE for folder in (store.folder, mirror.folder))
    assert copied.read_bytes() == found.read_bytes()
    assert "can't be used: model.onnx is damaged" in caplog.text
    assert not leftovers(mirror)


def test_a_version_published_again_under_its_number_takes_the_place_of_the_copy(
    store: FolderStore, tmp_path: Path
) -> None:
    mirror = mirror_of(store, tmp_path)
    mirror.refresh()
    sign(store.folder / "tiny/1", license="MIT")
    assert mirror.refresh() == {}
    assert json.loads((mirror.folder / "tiny/1" / CARD_FILE).read_text())["license"] == "MIT"
    assert not leftovers(mirror)


def test_what_left_the_store_leaves_the_folder_after_what_takes_its_place(store: FolderStore, tmp_path: Path) -> None:
    make_artifact(store.folder, version=2)
    make_artifact(store.folder, "other")
    mirror = mirror_of(store, tmp_path)
    mirror.refresh()
    shutil.rmtree(store.folder / "tiny/2")
    shutil.rmtree(store.folder / "other")
    mirror.refresh()
    assert held(mirror) == {"tiny": [1]}
    assert not leftovers(mirror)


def test_a_store_that_is_away_or_suddenly_empty_takes_nothing_from_the_folder(
    store: FolderStore, tmp_path: Path
) -> None:
    mirror = mirror_of(store, tmp_path)
    mirror.refresh()
    store.away = True
    with pytest.raises(StoreError, match="can't be reached"):
        mirror.refresh()
    store.away = False
    shutil.rmtree(store.folder / "tiny")
    with pytest.raises(StoreError, match="has no models any more"):
        mirror.refresh()
    assert held(mirror) == {"tiny": [1]}


def test_what_a_killed_process_left_is_taken_away(store: FolderStore, tmp_path: Path) -> None:
    mirror = mirror_of(store, tmp_path)
    (mirror.folder / ".copy-killed/1").mkdir(parents=True)
    mirror.refresh()
    assert not leftovers(mirror)


def test_a_copy_is_given_up_when_the_service_stops(store: FolderStore, tmp_path: Path) -> None:
    mirror = mirror_of(store, tmp_path)
    mirror.stop()
    assert mirror.refresh() == {}
    assert held(mirror) == {}
    assert not leftovers(mirror)


def test_a_card_of_another_model_is_refused(store: FolderStore, tmp_path: Path) -> None:
    shutil.copytree(store.folder / "tiny", store.folder / "renamed")
    mirror = mirror_of(store, tmp_path)
    assert "its card is of tiny version 1" in mirror.refresh()["renamed"]
    assert held(mirror) == {"tiny": [1]}


def test_a_cache_that_can_not_be_written_names_the_setting(store: FolderStore, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(StoreError, match=r"can't be written \(Not a directory\): name another with --cache-dir"):
        mirror_of(store, tmp_path).refresh()


def test_one_refresh_follows_the_other_and_a_store_that_is_away_is_said(store: FolderStore, tmp_path: Path) -> None:
    class OneAtATime(Mirror):
        refreshing = 0

        def refresh(self, names: Collection[str] = ()) -> Mapping[str, str]:
            self.refreshing += 1
            assert self.refreshing == 1
            try:
                return super().refresh(names)
            finally:
                self.refreshing -= 1

    async def check() -> None:
        mirror = AsyncMirror(OneAtATime(Settings(repository=ADDRESS, cache_dir=tmp_path / "cache"), store))
        assert await asyncio.gather(mirror.refresh(), mirror.refresh(["tiny"])) == ["", ""]
        assert mirror.is_filled
        store.away = True
        assert "can't be reached" in await mirror.refresh()
        await mirror.close(patience_s=60)

    asyncio.run(check())


def test_where_the_repository_is_a_folder_nothing_is_copied() -> None:
    async def check() -> None:
        mirror = AsyncMirror(None)
        assert (mirror.is_filled, await mirror.refresh(), mirror.missing) == (False, "", {})
        await mirror.close(patience_s=60)

    asyncio.run(check())
