from pathlib import Path

import pytest

from app.client.image_lists import ListedImage, list_images
from artifact.errors import InputError


def fill(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"any")
    return folder


def names_of(images: list[ListedImage], folder: Path) -> list[str]:
    return [str(Path(image.name).relative_to(folder)) for image in images]


def test_a_folder_gives_its_images_sorted_and_hides_nothing_but_what_is_hidden(tmp_path: Path) -> None:
    fill(tmp_path, "b.png", "a/2.JPG", "a/1.webp", "notes.txt", ".hidden.png", ".cache/c.png", "a/._2.JPG", "a b.png")
    images = list_images([str(tmp_path)])
    assert names_of(images, tmp_path) == ["a/1.webp", "a/2.JPG", "a b.png", "b.png"]


def test_the_folder_below_the_one_named_is_the_label(tmp_path: Path) -> None:
    fill(tmp_path, "cat/1.png", "dog/deep/2.png", "3.png")
    labels = [(image.label, image.is_folder) for image in list_images([str(tmp_path)])]
    assert labels == [("", False), ("cat", True), ("dog", True)]
    assert [image.label for image in list_images([str(tmp_path / "cat")])] == [""]


def test_a_manifest_names_paths_beside_it_whole_ones_and_addresses(tmp_path: Path) -> None:
    manifest = tmp_path / "set.csv"
    manifest.write_text(
        'path,label,split\nin/1.png,cat,test\n"a, b.png",dog,test\n/whole/2.png,,\nhttps://example.org/3,cat,\n',
        encoding="utf-8-sig",
    )
    assert list_images([str(manifest)]) == [
        ListedImage(f"{tmp_path}/in/1.png", "cat"),
        ListedImage(f"{tmp_path}/a, b.png", "dog"),
        ListedImage("/whole/2.png"),
        ListedImage("https://example.org/3", "cat"),
    ]


def test_labels_may_be_absent(tmp_path: Path) -> None:
    (tmp_path / "set.csv").write_text("path\n1.png\n")
    assert list_images([str(tmp_path / "set.csv")]) == [ListedImage(f"{tmp_path}/1.png")]


def test_columns_are_known_in_any_case_and_with_spaces_around(tmp_path: Path) -> None:
    (tmp_path / "set.csv").write_text("ID, Path, Label\n7, 1.png, cat\n")
    assert list_images([str(tmp_path / "set.csv")]) == [ListedImage(f"{tmp_path}/1.png", "cat")]


def test_words_of_every_kind_go_together_in_their_order(tmp_path: Path) -> None:
    fill(tmp_path, "folder/1.png")
    words = ["https://example.org/a?b=c", str(tmp_path / "folder"), "absent.png"]
    assert [image.name for image in list_images(words)] == [words[0], f"{tmp_path}/folder/1.png", "absent.png"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"filename,label\n1.png,cat\n", "begins with 'filename, label'"),
        (b"", "begins with ''"),
        (b"path,label\n1.png,cat\n,dog\n", "line 3"),
        (b"path,label\n", "names no images"),
        (b"path,label,Label\n1.png,cat,dog\n", "two columns called label"),
        (b"path\ncaf\xe9.png\n", "isn't UTF-8 (byte 8)"),
        (b'path\n"' + b"1" * 140_000 + b'"\n', "isn't CSV"),
    ],
)
def test_a_wrong_manifest_says_what_is_wrong(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "set.csv").write_bytes(content)
    with pytest.raises(InputError) as raised:
        list_images([str(tmp_path / "set.csv")])
    assert said in str(raised.value)
    assert "set.csv" in str(raised.value)


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("absent.csv", "can't be read: No such file"),
        ("ftp://example.org/1.png", "http, https, s3, gs or az"),
        ("https://example.org/set.csv", "copy it to this machine"),
        ("s3:///1", "s3://BUCKET/PATH"),
    ],
)
def test_what_names_no_images_is_refused_with_what_would(word: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        list_images([word])


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    fill(tmp_path, "notes.txt")
    with pytest.raises(InputError, match="contains no images"):
        list_images([str(tmp_path)])
