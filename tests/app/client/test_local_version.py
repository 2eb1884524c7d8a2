"""The version that a command works with itself: from a folder, or copied from a store."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.client.local_version import find_version
from app.settings import Settings
from artifact.errors import StoreError
from artifact.layout import list_models
from artifact.stores.index import write_index
from tests.makers.artifacts import make_artifact
from tests.makers.stores import WebStandIn

VARIANTS = ["tiny-fp16", "tiny-int8"]


@pytest.fixture
def web(tmp_path: Path) -> Iterator[WebStandIn]:
    for name in ("other", "tiny", "tiny-int8"):
        make_artifact(tmp_path / "site", name)
    write_index(tmp_path / "site")
    stand_in = WebStandIn(tmp_path / "site")
    yield stand_in
    stand_in.close()


def test_the_models_beside_it_are_copied_where_they_are_there(web: WebStandIn, tmp_path: Path) -> None:
    settings = Settings(repository=web.address, cache_dir=tmp_path / "cache")
    assert find_version(settings, "tiny", beside=VARIANTS) == settings.folder / "tiny/1"
    assert list_models(settings.folder) == ["tiny", "tiny-int8"]


def test_where_the_store_is_away_the_copies_do_and_those_beside_need_not_be_there(
    web: WebStandIn, tmp_path: Path
) -> None:
    settings = Settings(repository=web.address, cache_dir=tmp_path / "cache")
    find_version(settings, "tiny")
    web.close()
    assert find_version(settings, "tiny", beside=VARIANTS) == settings.folder / "tiny/1"
    with pytest.raises(StoreError, match="can't be reached"):
        find_version(settings, "other", beside=["tiny"])
