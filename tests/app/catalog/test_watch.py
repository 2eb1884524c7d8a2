"""What the watcher makes of changes in a repository, and that no fault of one folder holds up the others."""

import asyncio
import os
import shutil
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from app.catalog.mirror import Mirror
from app.catalog.repository import Look, Repository, Seen
from app.catalog.watch import Watcher
from app.errors import LoadRefused, UnknownModel, WorkerFailed
from app.settings import Settings
from artifact.layout import CARD_FILE, GOLDEN_FOLDER, MODEL_FILE
from tests.makers.artifacts import age, damage, make_artifact
from tests.makers.stores import FolderStore


class FakeServed:
    """Serves nothing, and writes down what it is told. `fail` has the next loads of a model raise."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, tuple[int, ...]]] = []
        self.noted: dict[str, Look] = {}
        self.fail: dict[str, list[Exception]] = {}

    async def load(self, look: Look) -> None:
        self.told.append(("load", look.name, look.wanted))
        if errors := self.fail.get(look.name):
            raise errors.pop(0)

    async def note(self, look: Look) -> None:
        self.noted[look.name] = look

    async def unload(self, name: str) -> None:
        self.told.append(("unload", name, ()))

    async def forget(self, name: str) -> None:
        self.told.append(("forget", name, ()))

    def take(self) -> list[tuple[str, str, tuple[int, ...]]]:
        told, self.told = self.told, []
        return told


class SlowRepository(Repository):
    """Reads of the models in `hanging` wait for `release`."""

    def __init__(self, settings: Settings, hanging: set[str]) -> None:
        super().__init__(settings)
        self.hanging = hanging
        self.release = threading.Event()
        self.begun: list[str] = []

    def look(self, name: str, before: Seen | None = None) -> Seen:
        if name in self.hanging:
            self.begun.append(name)
            assert self.release.wait(60)
        return super().look(name, before)


class UnreadableRepository(Repository):
    """May not read the models in `private`."""

    def __init__(self, settings: Settings, private: set[str]) -> None:
        super().__init__(settings)
        self.private = private

    def _look(self, folder: Path, before: Seen | None) -> Seen:
        if folder.name in self.private:
            raise PermissionError(13, "Permission denied", str(folder))
        return super()._look(folder, before)


def watching(
    scene: Callable[[Watcher, FakeServed], Awaitable[None]],
    folder: Path,
    source: Repository | None = None,
    patience_s: float = 30,
    store: FolderStore | None = None,
    **settings: Any,
) -> None:
    """Run `scene` with a watcher of the repository in `folder` that has looked once."""

    async def play() -> None:
        served = FakeServed()
        given = Settings(**{"repository": folder, **settings})
        watcher = Watcher(given, served, source, patience_s, Mirror(given, store) if store else None)
        await watcher.begin()
        await scene(watcher, served)

    asyncio.run(play())


def copy_version(source: Path, target: Path, *names: str) -> None:
    for name in names:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source / name, target / name)


def test_what_did_not_change_is_left_alone(repository: Path) -> None:
    async def scene(watcher: Watcher, served: FakeServed) -> None:
        assert await watcher.look() == []
        assert served.take() == []

    watching(scene, repository)


def test_a_version_copied_file_by_file_is_arriving_until_it_is_whole(repository: Path, tmp_path: Path) -> None:
    whole = make_artifact(tmp_path / "elsewhere", "other")
    target = repository / "other" / "1"

    async def scene(watcher: Watcher, served: FakeServed) -> None:
        copy_version(whole, target, MODEL_FILE)
        assert await watcher.look() == ["other version 1 is being copied"]
        assert served.noted["other"].arriving == ((1, CARD_FILE),)
        copy_version(whole, target, CARD_FILE)
        await watcher.look()
        assert f"{GOLDEN_FOLDER}/expected.npz" in served.noted["other"].arriving[0][1]
        with pytest.raises(LoadRefused, match="other version 1 is being copied: it lacks golden/"):
            await watcher.load("other")
        assert served.take() == []
        shutil.copytree(whole / GOLDEN_FOLDER, target / GOLDEN_FOLDER)
        assert await watcher.look() == ["other loaded"]
        assert served.take() == [("load", "other", (1,))]

    watching(scene, repository)


def test_a_card_that_is_nested_too_deeply_holds_up_no_other_model(repository: Path) -> None:
    card = make_artifact(repository, "other") / CARD_FILE
    card.write_text("[" * 200_000)

    async def scene(watcher: Watcher, served: FakeServed) -> None:
        assert {look.name: look.wanted for look in watcher.looks} == {"other": (), "tiny": (1,)}
        make_artifact(repository, version=2)
        assert await watcher.look() == ["tiny loaded"]

    watching(scene, repository)


def test_half_a_file_is_not_there_yet(repository: Path) -> None:
    async def scene(watcher: Watcher, served: FakeServed) -> None:
        graph = make_artifact(repository, version=2) / MODEL_FILE
        content = graph.read_bytes()
        graph.write_bytes(content[:100])
        assert await watcher.look() == ["tiny version 2 is being copied"]
        assert served.noted["tiny"].arriving == ((2, f"{MODEL_FILE} (100 of {len(content):,} bytes)"),)
        graph.write_bytes(content)
        assert await watcher.look() == ["tiny loaded"]
        assert served.take() == [("load", "tiny", (1, 2))]

    watching(scene, repository)


@pytest.mark.parametrize("card", [None, '{"format": 2, "name": "oth'])
def test_a_folder_that_gets_no_card_is_refused_once_it_is_quiet(repository: Path, card: str | None) -> None:
    async def scene(watcher: Watcher, served: FakeServed) -> None:
        folder = make_artifact(repository, "other")
        (folder / CARD_FILE).unlink()
        if card is not None:
            (folder / CARD_FILE).write_text(card)
        assert await watcher.look() == ["other version 1 is being copied"]
        quiet = Watcher(Settings(repository=repository), served, Repository(Settings(repository=repository), quiet_s=0))
        await quiet.look()
        assert ("load", "other", (1,)) in served.take()  # to load it is to refuse it, with the reason

    watching(scene, repository)


def test_a_folder_without_a_card_that_was_quiet_before_the_start_is_refused_at_once(repository: Path) -> None:
    folder = make_artifact(repository, "other")
    (folder / CARD_FILE).unlink()
    age(folder)

    async def scene(watcher: Watcher, served: FakeServed) -> None:
        assert [look.wanted for look in watcher.looks] == [(1,), (1,)]

    watching(scene, repository)


def test_a_version_that_is_written_again_stays_until_it_is_whole(repository: Path) -> None:
    make_artifact(repository, version=2)

    async def scene(watcher: Watcher, served: FakeServed) -> None:
        graph = repository / "tiny" / "2" / MODEL_FILE
        content = graph.read_bytes()
        graph.write_bytes(content[:10])
        assert await watcher.look() == ["tiny version 2 is being copied"]
        assert await watcher.look() == []
        assert served.take() == []  # no way back to version 1
        make_artifact(repository, version=3)
        assert await watcher.look() == ["tiny loaded"]
        graph.write_bytes(content)
        await watcher.look()
        assert served.take() == [("load", "tiny", (1, 2, 3))]  # the newest, and the ways back

    watching(scene, repository)


@pytest.mark.parametrize("name", [f"{GOLDEN_FOLDER}/expected.npz", CARD_FILE, MODEL_FILE])
def test_what_was_refused_is_tried_again_when_any_of_its_files_changes(repository: Path, name: str) -> None:
    async def scene(watcher: Watcher, served: FakeServed) -> None:
        folder = make_artifact(repository, "other")
        served.fail["other"] = [LoadRefused("damaged")]
        assert await watcher.look() == ["other stays as it is"]
        assert await watcher.look() == []
        served.take()
        (folder / name).write_bytes((folder / name).read_bytes())
        assert await watcher.look() == ["other loaded"]
        assert served.take() == [("load", "other", (1,))]

    watching(scene, repository)


@pytest.mark.parametrize("error", [WorkerFailed("it has ended"), OSError(5, "Input/output error"), ZeroDivisionError()])
def test_what_failed_for_another_reason_is_said_once_and_tried_again(
    repository: Path, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    async def scene(watcher: Watcher, served: FakeServed) -> None:
        make_artifact(repository, "other")
        served.fail["other"] = [error, error]
        assert await watcher.look() == await watcher.look() == ["other stays as it is"]
        assert await watcher.look() == ["other loaded"]
        assert len([record for record in caplog.records if "other stays as it is" in record.getMessage()]) == 1

    watching(scene, repository)


def test_what_went_away_and_came_back_is_loaded_again(repository: Path, tmp_path: Path) -> None:
    async def scene(watcher: Watcher, served: FakeServed) -> None:
        (repository / "tiny").rename(tmp_path / "aside")
        assert await watcher.look() == ["tiny dropped"]
        (tmp_path / "aside").rename(repository / "tiny")
        assert await watcher.look() == ["tiny loaded"]
        (repository / "tiny" / "1").rename(tmp_path / "aside")
        assert "has no version folder" in (await watcher.look())[0]
        (tmp_path / "aside").rename(repository / "tiny" / "1")
        assert await watcher.look() == ["tiny loaded"]

    watching(scene, repository)


def test_a_repository_that_went_away_and_came_back_loses_nothing(
    repository: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scene(watcher: Watcher, served: FakeServed) -> None:
        repository.rename(tmp_path / "aside")
        for _ in range(3):
            (problem,) = await watcher.look()
            assert "can't be read" in problem
        assert len(caplog.records) == 1
        (tmp_path / "aside").rename(repository)
        assert await watcher.look() == []
        assert served.take() == []

    watching(scene, repository)


def test_what_was_unloaded_by_hand_comes_back_by_hand_alone(repository: Path, tmp_path: Path) -> None:
    async def scene(watcher: Watcher, served: FakeServed) -> None:
        await watcher.unload("tiny")
        served.take()
        make_artifact(repository, version=2)
        (repository / "tiny").rename(tmp_path / "aside")
        await watcher.look()
        (tmp_path / "aside").rename(repository / "tiny")
        await watcher.look()
        assert served.take() == []
        assert watcher.unloaded == {"tiny"}
        await watcher.load("tiny")
        assert served.take() == [("load", "tiny", (1, 2))]
        assert watcher.unloaded == set()

    watching(scene, repository)


def test_a_model_outside_of_the_setting_load_that_was_loaded_by_hand_stays(repository: Path) -> None:
    make_artifact(repository, "other")

    async def scene(watcher: Watcher, served: FakeServed) -> None:
        await watcher.load("other")
        assert await watcher.look() == []
        with pytest.raises(UnknownModel):
            await watcher.load("absent")

    watching(scene, repository, load=["tiny"])


def test_a_named_model_that_is_not_there_yet_is_loaded_when_it_comes(repository: Path) -> None:
    async def scene(watcher: Watcher, served: FakeServed) -> None:
        (reason,) = (look.reason for look in watcher.looks)
        assert reason == "the repository has no model 'late': `convserve models` lists those that it has"
        make_artifact(repository, "late")
        assert await watcher.look() == ["late loaded"]

    watching(scene, repository, load=["late"])


def test_one_folder_that_may_not_be_read_stops_nobody_else(repository: Path, caplog: pytest.LogCaptureFixture) -> None:
    make_artifact(repository, "private")
    source = UnreadableRepository(Settings(repository=repository), {"private"})

    async def scene(watcher: Watcher, served: FakeServed) -> None:
        looks = {look.name: look for look in watcher.looks}
        assert looks["tiny"].wanted == (1,)
        assert "private can't be read (Permission denied)" in looks["private"].reason
        make_artifact(repository, "other")
        assert await watcher.look() == ["other loaded"]
        assert len([record for record in caplog.records if "Permission denied" in record.getMessage()]) == 1
        source.private.clear()
        assert await watcher.look() == ["private loaded"]

    watching(scene, repository, source)


def test_a_served_model_whose_folder_can_not_be_read_goes_on_serving(repository: Path) -> None:
    source = UnreadableRepository(Settings(repository=repository), set())

    async def scene(watcher: Watcher, served: FakeServed) -> None:
        source.private.add("tiny")
        await watcher.look()
        assert served.noted["tiny"].wanted == (1,)
        source.private.clear()
        assert await watcher.look() == []
        assert served.noted["tiny"].reason == ""
        assert served.take() == []

    watching(scene, repository, source)


def test_a_folder_whose_reads_hang_holds_up_nobody_and_is_said_once(
    repository: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make_artifact(repository, "dead")
    slow = SlowRepository(Settings(repository=repository), {"dead"})

    async def scene(watcher: Watcher, served: FakeServed) -> None:
        assert {look.name: look.wanted for look in watcher.looks} == {"dead": (), "tiny": (1,)}
        make_artifact(repository, "other")
        assert await watcher.look() == ["other loaded"]
        assert await watcher.look() == []
        assert slow.begun == ["dead"]
        assert [r.getMessage() for r in caplog.records] == ["dead is refused: reading dead takes longer than 0.2 s"]
        with pytest.raises(LoadRefused, match="takes longer"):
            await watcher.load("dead")
        slow.hanging.clear()
        slow.release.set()
        async with asyncio.timeout(30):
            while not any(await watcher.look()):
                await asyncio.sleep(0.01)
        assert ("load", "dead", (1,)) in served.take()

    try:
        watching(scene, repository, slow, 0.2)
    finally:
        slow.release.set()


def test_a_served_model_whose_folder_hangs_goes_on_serving(repository: Path) -> None:
    slow = SlowRepository(Settings(repository=repository), set())

    async def scene(watcher: Watcher, served: FakeServed) -> None:
        slow.hanging.add("tiny")
        assert await watcher.look() == ["tiny: reading tiny takes longer than 0.2 s"]
        assert served.noted["tiny"].wanted == (1,)
        assert served.take() == []

    try:
        watching(scene, repository, slow, 0.2)
    finally:
        slow.release.set()


def test_a_file_whose_reads_hang_holds_up_nobody(repository: Path) -> None:
    card = make_artifact(repository, "pipe") / CARD_FILE
    card.unlink()
    os.mkfifo(card)  # opening it waits for a writer

    async def scene(watcher: Watcher, served: FakeServed) -> None:
        assert {look.name: look.wanted for look in watcher.looks} == {"pipe": (), "tiny": (1,)}
        card.open("wb").close()

    watching(scene, repository, patience_s=0.2)


@pytest.mark.parametrize("name", ["007", "²", "1.0", "-1", "v2", "latest"])
def test_a_folder_that_is_no_version_is_passed_over_with_a_line_once(
    repository: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(repository / "tiny" / "1", repository / "tiny" / name)

    async def scene(watcher: Watcher, served: FakeServed) -> None:
        assert [look.available for look in watcher.looks] == [(1,)]
        await watcher.look()
        (record,) = caplog.records
        assert record.getMessage().startswith(f"ignored in tiny: '{name}' (a version is a whole number")
        (repository / "tiny" / "next").mkdir()
        await watcher.look()
        assert len(caplog.records) == 2

    watching(scene, repository)


def test_a_folder_that_no_model_may_be_called_is_passed_over_with_a_line_once(
    repository: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (repository / "my model").mkdir()

    async def scene(watcher: Watcher, served: FakeServed) -> None:
        await watcher.look()
        (record,) = caplog.records
        assert record.getMessage().startswith("ignored in the repository: 'my model'")

    watching(scene, repository)


def test_what_is_arriving_is_looked_at_again_though_nobody_polls(repository: Path, tmp_path: Path) -> None:
    whole = make_artifact(tmp_path / "elsewhere", "other")
    copy_version(whole, repository / "other" / "1", MODEL_FILE, CARD_FILE)

    async def scene(watcher: Watcher, served: FakeServed) -> None:
        shutil.copytree(whole / GOLDEN_FOLDER, repository / "other" / "1" / GOLDEN_FOLDER)
        await watcher.watch()
        assert served.take() == [("load", "other", (1,))]

    watching(scene, repository)


def of_store(tmp_path: Path) -> dict[str, Any]:
    return {"repository": "s3://stand-in/models", "cache_dir": tmp_path / "cache"}


def test_what_a_store_holds_is_copied_and_loaded_as_from_a_folder(repository: Path, tmp_path: Path) -> None:
    async def scene(watcher: Watcher, served: FakeServed) -> None:
        assert [look.wanted for look in watcher.looks] == [(1,)]
        assert await watcher.look() == []
        make_artifact(repository, version=2)
        assert await watcher.look() == ["tiny loaded"]
        assert served.take() == [("load", "tiny", (1, 2))]
        shutil.rmtree(repository / "tiny/2")
        assert await watcher.look() == ["tiny loaded"]
        assert served.take() == [("load", "tiny", (1,))]

    watching(scene, repository, store=FolderStore(repository), **of_store(tmp_path))


def test_a_store_that_is_away_is_said_once_and_stops_no_load_by_hand(
    repository: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = FolderStore(repository)

    async def scene(watcher: Watcher, served: FakeServed) -> None:
        store.away = True
        make_artifact(repository, version=2)
        away = "the repository s3://stand-in/models can't be reached"
        assert await watcher.look() == await watcher.look() == [away]
        assert watcher.problem == away
        await watcher.load("tiny")
        assert served.take() == [("load", "tiny", (1,))]
        store.away = False
        await watcher.load("tiny")
        assert served.take() == [("load", "tiny", (1, 2))]
        await watcher.look()
        assert not watcher.problem

    watching(scene, repository, store=store, **of_store(tmp_path))
    assert [record.levelname for record in caplog.records if "stay" in record.getMessage()] == ["ERROR"]


def test_a_load_by_hand_of_what_can_not_be_copied_is_refused(repository: Path, tmp_path: Path) -> None:
    async def scene(watcher: Watcher, served: FakeServed) -> None:
        damage(make_artifact(repository, version=2))
        with pytest.raises(LoadRefused, match=r"tiny version 2 in s3://.*: model.onnx is damaged"):
            await watcher.load("tiny")
        assert served.take() == []
        with pytest.raises(UnknownModel):
            await watcher.load("absent")

    watching(scene, repository, store=FolderStore(repository), **of_store(tmp_path))


def test_a_filled_cache_is_served_at_once_and_the_store_asked_right_after(repository: Path, tmp_path: Path) -> None:
    store = FolderStore(repository)

    async def first(watcher: Watcher, served: FakeServed) -> None:
        pass

    async def scene(watcher: Watcher, served: FakeServed) -> None:
        assert [look.wanted for look in watcher.looks] == [(1,)]
        assert served.take() == []
        await watcher.watch()  # though nothing polls
        assert served.take() == [("load", "tiny", (1, 2))]

    watching(first, repository, store=store, **of_store(tmp_path))
    make_artifact(repository, version=2)
    watching(scene, repository, store=store, poll_s=0, **of_store(tmp_path))


def test_a_copy_under_way_is_given_up_at_the_end(repository: Path, tmp_path: Path) -> None:
    begun = threading.Event()

    class EndlessStore(FolderStore):
        def copy(self, path: str, target: Path, is_stopped: Callable[[], bool]) -> None:
            begun.set()
            while not is_stopped():
                time.sleep(0.001)
            raise InterruptedError

    async def play() -> None:
        settings = Settings(**of_store(tmp_path))
        watcher = Watcher(settings, FakeServed(), mirror=Mirror(settings, EndlessStore(repository)))
        beginning = asyncio.ensure_future(watcher.begin())
        await asyncio.to_thread(begun.wait, 60)
        await watcher.close()
        await beginning
        assert not watcher.looks

    asyncio.run(play())
    assert not list((tmp_path / "cache").glob("*/tiny"))
