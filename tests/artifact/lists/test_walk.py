from __future__ import annotations

from pathlib import Path

from app.client.image_lists import list_images
from artifact.lists.walk import walk_folders
from export.data.folder_layout import find_images


def fill(root: Path) -> None:
    for name in ("a/1.png", "b/2.png", "apart/3.png"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_links_are_followed_once_and_never_in_a_circle(tmp_path: Path) -> None:
    fill(tmp_path)
    for link, to in (("a/b", "b"), ("b/a", "a"), ("a/up", "."), ("a/apart", "apart"), ("b/apart", "apart")):
        (tmp_path / link).symlink_to(tmp_path / to)
    places = sorted(Path(place).relative_to(tmp_path / "a").as_posix() for place, _, _ in walk_folders(tmp_path / "a"))
    assert places == [".", "apart", "b", "b/apart", "up", "up/apart", "up/b", "up/b/apart"]


def test_training_and_prediction_find_the_same_images(tmp_path: Path) -> None:
    fill(tmp_path)
    (tmp_path / "a/linked").symlink_to(tmp_path / "apart")
    (tmp_path / "a/self").symlink_to(tmp_path / "a")
    found = [tmp_path / name for name in ("a/1.png", "a/linked/3.png", "apart/3.png", "b/2.png")]
    assert find_images(tmp_path) == found
    assert [image.name for image in list_images([str(tmp_path)])] == list(map(str, found))
