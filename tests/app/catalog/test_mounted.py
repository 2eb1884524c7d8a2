"""A repository whose folder is a repository, a model, or a version."""

from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from app.catalog.mounted import find_repository
from app.main import create_app
from app.settings import Settings
from artifact.errors import ArtifactError
from artifact.layout import CARD_FILE
from tests.makers.artifacts import gray_image, make_artifact


def find(tmp_path: Path, folder: Path, **options: str) -> Settings:
    return find_repository(Settings(repository=folder, cache_dir=tmp_path / "cache", poll_s=0, **options))


@pytest.mark.parametrize(("below", "versions"), [("", [2, 1]), ("tiny", [2, 1]), ("tiny/2", [2])])
@pytest.mark.parametrize("name", ["", "mine"])
def test_each_of_them_is_served(
    tmp_path: Path, below: str, versions: list[int], name: str, open_client: Callable[..., TestClient]
) -> None:
    make_artifact(tmp_path / "there")
    make_artifact(tmp_path / "there", version=2)
    settings = find(tmp_path, tmp_path / "there" / below, **({"model_name": name} if name else {}))
    client = open_client(create_app(settings.model_copy(update={"versions": "all"})))
    answer = client.post(f"/predict/{name if name and below else 'tiny'}", content=gray_image(150)).json()
    assert (answer["model"], answer["version"]) == ("tiny", 2)
    states = client.get("/v1/models/tiny").json()["model_version_status"]
    assert [int(entry["version"]) for entry in states] == versions
    assert client.post("/invocations", content=gray_image(0)).status_code == 200


def test_a_model_named_by_a_number_is_no_version(tmp_path: Path) -> None:
    make_artifact(tmp_path / "there", "1")
    assert find(tmp_path, tmp_path / "there").repository == tmp_path / "there"


def test_an_alias_of_the_settings_keeps_its_meaning(tmp_path: Path) -> None:
    make_artifact(tmp_path / "there")
    settings = Settings(
        repository=tmp_path / "there/tiny", cache_dir=tmp_path / "cache", model_name="mine", aliases={"mine": "tiny/1"}
    )
    assert find_repository(settings).aliases == settings.aliases


def test_a_second_start_finds_the_same_links(tmp_path: Path) -> None:
    make_artifact(tmp_path / "there")
    first, second = (find(tmp_path, tmp_path / "there/tiny").repository for _ in range(2))
    assert first == second
    assert (Path(first) / "tiny/1" / CARD_FILE).is_file()


def test_what_can_not_be_linked_or_read_says_so(tmp_path: Path) -> None:
    make_artifact(tmp_path / "there")
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(ArtifactError, match="set cache_dir to a folder that can be written"):
        find(tmp_path, tmp_path / "there/tiny")
    (tmp_path / "there/tiny/1" / CARD_FILE).write_text("{")
    with pytest.raises(ArtifactError, match=CARD_FILE):
        find(tmp_path, tmp_path / "there/tiny/1")


def test_a_folder_that_is_not_there_is_left_to_who_looks_at_it(tmp_path: Path) -> None:
    assert find(tmp_path, tmp_path / "none").repository == tmp_path / "none"
