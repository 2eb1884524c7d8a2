import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.catalog.catalog import Catalog
from app.catalog.control import LocalControl
from app.catalog.repository import Look
from app.errors import DeviceFailed, Loading, ModelRefused, UnknownModel, UnknownVersion
from app.inference.model import LoadedModel, load_model
from app.settings import Settings
from artifact.images.decode import decode_image
from artifact.layout import CARD_FILE
from tests.makers.artifacts import age, damage, gray_image, make_artifact


def with_catalog(scene: Callable[[Catalog], Awaitable[None]], loader: Any = load_model, **settings: Any) -> None:
    """Run `scene` with a catalog that has tried everything, and close it."""

    async def play() -> None:
        catalog = Catalog(Settings(**settings), loader)
        control = LocalControl(Settings(**settings), catalog)
        await control.start()
        await catalog.wait_until_tried()
        await scene(catalog)
        await control.close()
        await catalog.close()

    asyncio.run(play())


def test_a_broken_artifact_is_refused_with_its_reason_and_the_others_serve(repository: Path) -> None:
    cardless = make_artifact(repository, "cardless")
    (cardless / CARD_FILE).unlink()
    age(cardless)
    garbled = make_artifact(repository, "garbled")
    (garbled / CARD_FILE).write_text("{")
    age(garbled)
    damage(make_artifact(repository, "damaged"))
    (repository / "empty").mkdir()
    folder = make_artifact(repository, "before")
    folder.parent.rename(repository / "renamed")

    async def scene(catalog: Catalog) -> None:
        assert catalog.resolve("tiny").name == "tiny"
        for name, reason in {
            "cardless": r"cardless/1/model\.onnx has no card\.json: publish it with: convserve-export adopt .*"
            r"cardless/1/model\.onnx --repository ",
            "garbled": "not a model card",
            "damaged": "sha256",
            "empty": "no version folder",
            "renamed": "the card says before",
        }.items():
            with pytest.raises(ModelRefused, match=reason):
                catalog.resolve(name)
        assert catalog.explain_unready() == ""

    with_catalog(scene, repository=repository)


def test_hidden_folders_and_files_are_passed_over(repository: Path) -> None:
    make_artifact(repository, "new").parent.rename(repository / ".tmp-123")
    (repository / "README.md").write_text("not a model")
    (repository / "tiny" / "config.pbtxt").write_text("for Triton")
    (repository / "tiny" / ".tmp-2").mkdir()

    async def scene(catalog: Catalog) -> None:
        assert catalog.names() == ["tiny"]
        assert [version.number for version in catalog.versions("tiny")] == [1]

    with_catalog(scene, repository=repository)


def test_latest_goes_back_to_an_older_version_where_the_newest_is_corrupt(repository: Path) -> None:
    damage(make_artifact(repository, version=2))

    async def scene(catalog: Catalog) -> None:
        assert catalog.resolve("tiny").version == 1
        states = {version.number: version.state for version in catalog.versions("tiny")}
        assert states == {1: "loaded", 2: "refused"}
        with pytest.raises(ModelRefused, match="sha256"):
            catalog.resolve("tiny", 2)

    with_catalog(scene, repository=repository)


@pytest.mark.parametrize(("wanted", "loaded"), [("latest", [3]), ("all", [3, 2, 1]), ("1,3", [3, 1]), ("7", [])])
def test_the_setting_versions_says_what_is_loaded(repository: Path, wanted: str, loaded: list[int]) -> None:
    make_artifact(repository, version=2)
    make_artifact(repository, version=3)

    async def scene(catalog: Catalog) -> None:
        assert [version.number for version in catalog.versions("tiny")] == loaded
        if loaded:
            assert catalog.resolve("tiny").version == 3
        else:
            with pytest.raises(ModelRefused, match="versions=7"):
                catalog.resolve("tiny")

    with_catalog(scene, repository=repository, versions=wanted)


def test_only_the_models_named_by_load_are_loaded(repository: Path) -> None:
    make_artifact(repository, "other")

    async def scene(catalog: Catalog) -> None:
        assert catalog.names() == ["other"]
        with pytest.raises(UnknownModel, match="there are other"):
            catalog.resolve("tiny")

    with_catalog(scene, repository=repository, load=["other"])


def test_unknown_names_and_versions_say_what_there_is(repository: Path) -> None:
    async def scene(catalog: Catalog) -> None:
        with pytest.raises(UnknownModel, match="there are tiny"):
            catalog.resolve("other")
        with pytest.raises(UnknownVersion, match="there are: 1"):
            catalog.resolve("tiny", 9)

    with_catalog(scene, repository=repository)


def test_a_table_of_one_model_overrides_the_settings_for_it(repository: Path) -> None:
    make_artifact(repository, "other")

    async def scene(catalog: Catalog) -> None:
        assert catalog.resolve("tiny").batcher.max_batch_size == 2
        assert catalog.resolve("tiny").timeout_s == 0.5
        assert catalog.resolve("other").batcher.max_batch_size == 32

    table = {"tiny": {"max_batch_size": 2, "timeout_ms": 500}}
    with_catalog(scene, repository=repository, model=table)


def test_the_card_bounds_the_batch(tmp_path: Path) -> None:
    make_artifact(tmp_path, max_batch=3)

    async def scene(catalog: Catalog) -> None:
        assert catalog.resolve("tiny").batcher.max_batch_size == 3

    with_catalog(scene, repository=tmp_path)


def test_a_failed_device_takes_the_model_out_and_loads_it_again(repository: Path) -> None:
    report: list[Callable[[DeviceFailed], None]] = []
    gates = [asyncio.Event(), asyncio.Event()]
    gates[0].set()

    async def load(folder: Path, settings: Settings, *, on_device_failure: Any, **options: Any) -> LoadedModel:
        await gates[len(report)].wait()
        report.append(on_device_failure)
        return await load_model(folder, settings, on_device_failure=on_device_failure)

    async def scene(catalog: Catalog) -> None:
        first = catalog.resolve("tiny")
        report[0](DeviceFailed("gone"))
        with pytest.raises(Loading):
            catalog.resolve("tiny")
        assert catalog.explain_unready()
        gates[1].set()
        await catalog.wait_until_settled()
        second = catalog.resolve("tiny")
        assert second is not first
        pixels = decode_image(gray_image(255), second.card.image)
        with second.batcher.reserve(1, asyncio.get_running_loop().time() + 60) as places:
            assert int(np.argmax((await places.run(pixels)).output.probabilities)) == 4

    with_catalog(scene, load, repository=repository)


def test_closing_while_models_load_ends_cleanly(repository: Path) -> None:
    async def never(folder: Path, settings: Settings, **options: Any) -> LoadedModel:
        await asyncio.Event().wait()
        raise AssertionError

    async def play() -> None:
        catalog = Catalog(Settings(repository=repository), never)
        catalog.start([Look("tiny", available=(1,), wanted=(1,))])
        await asyncio.sleep(0)
        await catalog.close()

    asyncio.run(play())


def test_an_unexpected_error_while_loading_refuses_that_model_alone(repository: Path) -> None:
    make_artifact(repository, "another")

    async def load(folder: Path, settings: Settings, **options: Any) -> LoadedModel:
        if folder.parent.name == "another":
            raise ZeroDivisionError
        return await load_model(folder, settings, **options)

    async def scene(catalog: Catalog) -> None:
        assert catalog.resolve("tiny").version == 1
        with pytest.raises(ModelRefused, match="ZeroDivisionError"):
            catalog.resolve("another")

    with_catalog(scene, load, repository=repository)
