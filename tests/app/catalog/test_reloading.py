"""Changes while serving: load, unload, reload, polling, the memory budget, aliases."""

import asyncio
import json
import os
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.catalog.catalog import Catalog
from app.catalog.control import LocalControl
from app.errors import LoadRefused, ModelUnloaded, UnknownModel
from app.settings import Settings
from artifact.images.decode import decode_image
from artifact.layout import MODEL_FILE
from tests.makers.artifacts import damage, gray_image, make_artifact, make_graph, replace_graph, sign


def with_catalog(scene: Callable[[Catalog, LocalControl], Awaitable[None]], **settings: Any) -> None:
    """Run `scene` with a catalog that has tried everything, and close it."""

    async def play() -> None:
        catalog = Catalog(Settings(**settings))
        control = LocalControl(Settings(**settings), catalog)
        await control.start()
        await catalog.wait_until_tried()
        await scene(catalog, control)
        await control.close()
        await catalog.close()

    asyncio.run(play())


async def classify(catalog: Catalog, level: int) -> int:
    model = catalog.resolve("tiny")
    with model.batcher.reserve(1, asyncio.get_running_loop().time() + 60) as places:
        result = await places.run(decode_image(gray_image(level), model.card.image))
    return int(np.argmax(result.output.probabilities))


def test_a_load_brings_a_new_version_and_drops_the_old(repository: Path) -> None:
    async def scene(catalog: Catalog, control: LocalControl) -> None:
        make_artifact(repository, version=2)
        assert catalog.resolve("tiny").version == 1
        await control.load("tiny")
        assert [version.number for version in catalog.versions("tiny")] == [2]

    with_catalog(scene, repository=repository)


def test_a_model_that_was_not_there_at_the_start_can_be_loaded(repository: Path) -> None:
    async def scene(catalog: Catalog, control: LocalControl) -> None:
        with pytest.raises(UnknownModel, match="no model 'other'"):
            await control.load("other")
        make_artifact(repository, "other")
        await control.load("other")
        assert catalog.resolve("other").version == 1

    with_catalog(scene, repository=repository)


@pytest.mark.parametrize("name", ["..", "../tiny", "", "a/b", ".hidden", "x" * 300, "tiny\0"])
def test_no_name_from_a_request_reaches_the_disk(repository: Path, name: str) -> None:
    async def scene(catalog: Catalog, control: LocalControl) -> None:
        with pytest.raises(UnknownModel):
            await control.load(name)

    with_catalog(scene, repository=repository)


def test_rows_accepted_before_a_reload_are_answered_by_the_old_model(repository: Path) -> None:
    async def scene(catalog: Catalog, control: LocalControl) -> None:
        old = catalog.resolve("tiny")
        places = old.batcher.reserve(1, asyncio.get_running_loop().time() + 60)
        await control.load("tiny")
        assert catalog.resolve("tiny") is not old
        with places:
            result = await places.run(decode_image(gray_image(255), old.card.image))
        assert int(np.argmax(result.output.probabilities)) == 4
        await catalog.wait_until_settled()

    with_catalog(scene, repository=repository)


def test_200_reloads_and_50_corrupt_ones_under_load_fail_no_request(repository: Path) -> None:
    async def scene(catalog: Catalog, control: LocalControl) -> None:
        answers: list[bool] = []
        busy = True

        async def send(level: int, expected: int) -> None:
            while busy:
                answers.append(await classify(catalog, level) == expected)

        clients = [asyncio.create_task(send(level, level // 63)) for level in (0, 255, 128, 64)]
        for _ in range(200):
            await control.load("tiny")
        serving = catalog.resolve("tiny")
        damage(repository / "tiny" / "1")
        for _ in range(50):
            with pytest.raises(LoadRefused, match="sha256"):
                await control.load("tiny")
        assert catalog.resolve("tiny") is serving
        busy = False
        await asyncio.gather(*clients)
        assert all(answers)
        assert len(answers) > 250
        await catalog.wait_until_settled()

    with_catalog(scene, repository=repository)


def test_a_corrupt_newest_version_leaves_the_old_one_serving_and_says_why(repository: Path) -> None:
    async def scene(catalog: Catalog, control: LocalControl) -> None:
        damage(make_artifact(repository, version=2))
        with pytest.raises(LoadRefused, match=r"tiny version 2 is refused: .*sha256"):
            await control.load("tiny")
        assert catalog.resolve("tiny").version == 1
        assert {v.number: v.state for v in catalog.versions("tiny")} == {1: "loaded", 2: "refused"}

    with_catalog(scene, repository=repository)


def test_a_graph_that_the_replay_refuses_leaves_the_old_one_serving(repository: Path) -> None:
    async def scene(catalog: Catalog, control: LocalControl) -> None:
        replace_graph(repository / "tiny" / "1", make_graph(sharpness=1e-3))
        with pytest.raises(LoadRefused, match="golden replay"):
            await control.load("tiny")
        (version,) = catalog.versions("tiny")
        assert version.state == "loaded"
        assert "golden replay" in version.reason
        assert await classify(catalog, 255) == 4

    with_catalog(scene, repository=repository)


def test_one_corrupt_version_of_several_changes_nothing(repository: Path) -> None:
    make_artifact(repository, version=2)

    async def scene(catalog: Catalog, control: LocalControl) -> None:
        before = catalog.resolve("tiny", 2)
        damage(make_artifact(repository, version=3))
        with pytest.raises(LoadRefused, match="version 3"):
            await control.load("tiny")
        assert catalog.resolve("tiny") is before
        assert catalog.resolve("tiny", 1).version == 1

    with_catalog(scene, repository=repository, versions="all")


def test_versions_that_did_not_change_go_on_beside_a_new_one(repository: Path) -> None:
    async def scene(catalog: Catalog, control: LocalControl) -> None:
        first = catalog.resolve("tiny", 1)
        make_artifact(repository, version=2)
        assert await control.watcher.look() == ["tiny loaded"]
        assert catalog.resolve("tiny", 1) is first
        second = catalog.resolve("tiny", 2)
        sign(repository / "tiny/1", license="MIT")
        await control.watcher.look()
        assert catalog.resolve("tiny", 1).card.license == "MIT"
        assert catalog.resolve("tiny", 2) is second
        await control.load("tiny")  # by hand: all of it
        assert catalog.resolve("tiny", 2) is not second

    with_catalog(scene, repository=repository, versions="all")


def test_a_change_that_was_refused_along_with_another_version_is_loaded_with_it(repository: Path) -> None:
    async def scene(catalog: Catalog, control: LocalControl) -> None:
        first = catalog.resolve("tiny", 1)
        sign(repository / "tiny/1", license="MIT")
        damage(make_artifact(repository, version=2))
        await control.watcher.look()
        assert catalog.resolve("tiny", 1) is first
        shutil.rmtree(repository / "tiny/2")
        make_artifact(repository, version=2)
        await control.watcher.look()
        assert catalog.resolve("tiny", 1).card.license == "MIT"
        assert catalog.resolve("tiny", 2).version == 2

    with_catalog(scene, repository=repository, versions="all")


def test_an_unloaded_model_says_how_to_bring_it_back(repository: Path) -> None:
    make_artifact(repository, "other")

    async def scene(catalog: Catalog, control: LocalControl) -> None:
        await control.unload("tiny")
        with pytest.raises(ModelUnloaded, match="/v2/repository/models/tiny/load"):
            catalog.resolve("tiny")
        assert catalog.resolve("other").version == 1
        assert catalog.explain_unready() == ""
        await control.load("tiny")
        assert catalog.resolve("tiny").version == 1
        with pytest.raises(UnknownModel):
            await control.unload("absent")

    with_catalog(scene, repository=repository)


def test_a_load_that_would_exceed_the_budget_is_refused_with_the_figures(repository: Path) -> None:
    huge = make_artifact(repository, "huge")
    os.truncate(huge / MODEL_FILE, 300_000_000)
    sign(huge)

    async def scene(catalog: Catalog, control: LocalControl) -> None:
        assert catalog.resolve("tiny").memory_bytes > 0
        (version,) = catalog.versions("huge")
        assert version.state == "refused"
        assert "huge version 1 needs 300 MB" in version.reason
        assert "of the 200 MB of memory_budget are used" in version.reason

    with_catalog(scene, repository=repository, load=["huge", "tiny"], memory_budget=200)


def test_a_process_that_gets_neighbors_loads_within_its_part_of_the_budget(repository: Path) -> None:
    make_artifact(repository, "other")
    os.truncate(repository / "other/1" / MODEL_FILE, 150_000_000)
    sign(repository / "other/1")

    async def scene(catalog: Catalog, control: LocalControl) -> None:
        catalog.share(Settings(repository=repository, memory_budget=100))
        with pytest.raises(LoadRefused, match=r"other version 1 needs 150 MB, and .* of the 100 MB of memory_budget"):
            await control.load("other")

    with_catalog(scene, repository=repository, load=["tiny"], memory_budget=200)


def test_polling_loads_what_is_new_or_changed_and_forgets_what_left(repository: Path) -> None:
    async def scene(catalog: Catalog, control: LocalControl) -> None:
        make_artifact(repository, version=2)
        make_artifact(repository, "other")
        damage(make_artifact(repository, "broken"))

        def states() -> dict[str, list[tuple[int, str]]]:
            return {name: [(v.number, v.state) for v in catalog.versions(name)] for name in catalog.names()}

        settled = {"tiny": [(2, "loaded")], "other": [(1, "loaded")], "broken": [(1, "refused")]}
        async with asyncio.timeout(30):
            while states() != settled:
                await asyncio.sleep(0.01)
            shutil.rmtree(repository / "other")
            while "other" in catalog.names():
                await asyncio.sleep(0.01)

    with_catalog(scene, repository=repository, poll_s=0.01)


def test_polling_leaves_alone_what_was_unloaded_by_hand(repository: Path) -> None:
    async def scene(catalog: Catalog, control: LocalControl) -> None:
        await control.unload("tiny")
        make_artifact(repository, version=2)
        assert await control.watcher.look() == []
        await control.load("tiny")
        assert catalog.resolve("tiny").version == 2

    with_catalog(scene, repository=repository)


def test_an_alias_means_a_model_or_one_of_its_versions(repository: Path) -> None:
    make_artifact(repository, version=2)

    async def scene(catalog: Catalog, control: LocalControl) -> None:
        assert catalog.resolve("stable").version == 1
        assert catalog.resolve("newest").version == 2
        assert catalog.resolve("stable", 2).version == 2
        catalog.traffic.replace({"stable": "tiny/2"}, {})
        assert catalog.resolve("stable").version == 2
        with pytest.raises(UnknownModel, match="there are tiny, stable"):
            catalog.resolve("newest")

    with_catalog(scene, repository=repository, versions="all", aliases={"stable": "tiny/1", "newest": "tiny"})


def test_a_version_published_again_under_other_labels_is_counted_anew(repository: Path) -> None:
    async def scene(catalog: Catalog, control: LocalControl) -> None:
        await classify(catalog, 255)
        folder = repository / "tiny" / "1"
        shutil.rmtree(folder)
        make_artifact(repository, labels=("a", "b", "c"))
        await control.load("tiny")
        assert await classify(catalog, 255) == 2

    with_catalog(scene, repository=repository)


def test_the_fingerprint_of_every_part_counts(repository: Path) -> None:
    async def scene(catalog: Catalog, control: LocalControl) -> None:
        card = repository / "tiny" / "1" / "card.json"
        card.write_text(json.dumps(json.loads(card.read_text()), indent=4))
        assert await control.watcher.look() == ["tiny loaded"]

    with_catalog(scene, repository=repository)
