"""Files of class names as people have them."""

from __future__ import annotations

from pathlib import Path

import pytest

from export.data.labels import describe_difference, imagenet_labels, match_labels, read_labels
from export.errors import DataError

NAMES = ("wild_cat", "dog", "great white shark")
FILES: dict[str, tuple[str, str]] = {
    "one a line": ("labels.txt", "wild_cat\ndog\ngreat white shark\n\n"),
    "with a byte order mark": ("labels.txt", "\ufeffwild_cat\r\ndog\r\ngreat white shark\r\n"),
    "numbered from 0": ("labels.txt", "0 wild_cat\n1 dog\n2 great white shark\n"),
    "numbered from 1, with colons": ("labels.txt", "1: wild_cat\n2: dog\n3: great white shark\n"),
    "numbered in another order": ("labels.txt", "1\tdog\n0\twild_cat\n2\tgreat white shark\n"),
    "a list": ("labels.json", '["wild_cat", "dog", "great white shark"]'),
    "a class index": ("labels.json", '{"0": "wild_cat", "1": "dog", "2": "great white shark"}'),
    "Keras' class index": (
        "labels.json",
        '{"0": ["n1", "wild_cat"], "1": ["n2", "dog"], "2": ["n3", "great white shark"]}',
    ),
    "class_indices": ("labels.json", '{"dog": 1, "great white shark": 2, "wild_cat": 0}'),
    "JSON with a byte order mark": ("labels.json", '\ufeff{"dog": 1, "great white shark": 2, "wild_cat": 0}'),
}


@pytest.mark.parametrize("case", FILES)
def test_names_are_read_as_they_are_written(case: str, tmp_path: Path) -> None:
    name, text = FILES[case]
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert read_labels(str(tmp_path / name)) == NAMES


def test_names_that_begin_with_a_number_keep_it(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("2 wheels\n4 wheels\n18 wheeler\n")
    assert read_labels(str(tmp_path / "labels.txt")) == ("2 wheels", "4 wheels", "18 wheeler")
    (tmp_path / "labels.txt").write_text("0\n1\n2\n")
    assert read_labels(str(tmp_path / "labels.txt")) == ("0", "1", "2")


@pytest.mark.parametrize(
    "text", ['{"cat": 0, "dog": 2}', '{"cat": 1, "dog": 2}', '{"cat": true, "dog": 0}', "3", "{", "[" * 200_000]
)
def test_what_is_no_class_index_is_said(text: str, tmp_path: Path) -> None:
    (tmp_path / "labels.json").write_text(text)
    with pytest.raises(DataError, match=r"labels\.json is not a class index: it must be"):
        read_labels(str(tmp_path / "labels.json"))


def test_the_bundled_names_have_spaces() -> None:
    assert imagenet_labels()[207] == "golden retriever"


def test_the_same_names_are_matched_whatever_their_order_and_spelling() -> None:
    places = match_labels(("Great White-Shark", "WILD cat", "dog"), NAMES)
    assert places is not None
    assert places.tolist() == [2, 0, 1]
    some = match_labels(("dog", "wild cat"), NAMES)  # classes without images
    assert some is not None
    assert some.tolist() == [1, 0]
    assert match_labels(("wild_cat", "dog", "cow"), NAMES) is None
    assert match_labels(("dog",), ("dog", "DOG", "cat")) is None
    assert match_labels(("wild_cat", "dog", "dog"), NAMES) is None
    twice = match_labels(imagenet_labels(), imagenet_labels())  # crane is there twice
    assert twice is not None
    assert twice.tolist() == list(range(1000))


def test_the_difference_names_what_is_only_on_one_side() -> None:
    assert describe_difference(("wild cat", "cow"), NAMES) == (
        "it has 2 classes, there are 3 labels; only in the data set: cow; only in the labels: dog, great white shark"
    )


def test_synset_lines_give_the_first_name(tmp_path: Path) -> None:
    (tmp_path / "synset.txt").write_text("n02121808 cat, domestic cat\nn02084071 dog, hound\n")
    assert read_labels(str(tmp_path / "synset.txt")) == ("cat", "dog")


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("one.txt", "cat\n", "names 1 classes"),
        ("gap.txt", "cat\n\ndog\n", "line 2 is empty"),
        ("bad.json", '{"0": "cat", "2": "dog"}', "not a class index"),
    ],
)
def test_bad_labels_say_where(tmp_path: Path, name: str, text: str, complaint: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(DataError, match=complaint):
        read_labels(str(path))


def test_a_name_of_two_classes_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "birds.txt").write_text("crane\ncat\ncrane\n")
    assert read_labels(str(tmp_path / "birds.txt")) == ("crane", "cat", "crane")
    assert "names more than one class crane: answers can't tell them apart" in capsys.readouterr().err


def test_a_missing_label_file_names_the_alternatives() -> None:
    with pytest.raises(DataError, match=r"\(No such file or directory\): give a file of one name a line, or imagenet"):
        read_labels("no-such-file.txt")
