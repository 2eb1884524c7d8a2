"""The wrong choice for every assumption that stands on both sides of the proof: each is refused, named or recorded."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from artifact.card import ModelCard, read_card
from artifact.image_policy import ImagePolicy, Resize
from artifact.images.fit import apply_policy
from export.cli.main import main

CLASSES = ("ant", "bee", "cat", "dog")
SIZE = 8
GENERATOR = np.random.default_rng(0)
PATTERNS = GENERATOR.integers(0, 200, (4, 16, 16, 3)).astype(np.uint8)
TONES = np.uint8([(200, 30, 100), (30, 100, 200), (100, 200, 30), (200, 110, 30)])
COLORS = np.broadcast_to(TONES[:, None, None], (4, 16, 16, 3))

Templates = npt.NDArray[np.float32]


def templates(patterns: npt.NDArray[np.uint8] = PATTERNS, resize: Resize = "antialias") -> Templates:
    """What each pattern looks like to a network, in units of 0..1: [classes, 8, 8, 3]."""
    policy = ImagePolicy(height=SIZE, width=SIZE, channels=3, resize=resize)
    return np.stack([apply_policy(Image.fromarray(pattern), policy) for pattern in patterns]).astype(np.float32) / 255


def write_network(path: Path, seen: Templates, before: list[onnx.NodeProto] | None = None, size: int | str = 8) -> Path:
    """A classifier that answers with the nearest template: logits <t, x> - |t|^2 / 2."""
    flat = seen.reshape(len(seen), -1)
    tensors = {
        "kernel": 5 * flat.T,
        "bias": -2.5 * (flat**2).sum(axis=1),
        "by": np.float32(1 / 255),
        "minus": np.float32(-1),
        "axis": np.int64([0]),
    }
    nodes = [*(before or [helper.make_node("Identity", ["pixels"], ["x"])])]
    nodes += [
        helper.make_node("Flatten", ["x"], ["flat"], axis=1),
        helper.make_node("Gemm", ["flat", "kernel", "bias"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "nearest",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["batch", SIZE, SIZE, 3])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", len(seen)])],
        [numpy_helper.from_array(np.float32(v) if k != "axis" else v, k) for k, v in tensors.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), path)
    return path


def write_photos(folder: Path, patterns: npt.NDArray[np.uint8] = PATTERNS, names: tuple[str, ...] = CLASSES) -> Path:
    """Twelve noisy images of each class, in class folders."""
    generator = np.random.default_rng(1)
    for name, pattern in zip(names, patterns, strict=True):
        (folder / name).mkdir(parents=True)
        for index in range(12):
            noisy = np.clip(pattern + generator.normal(0, 8, pattern.shape), 0, 255).astype(np.uint8)
            Image.fromarray(noisy).save(folder / name / f"{index}.png")
    return folder


def adopt(file: Path, *options: str, labels: tuple[str, ...] = CLASSES, arithmetic: str = "unit") -> int:
    (file.parent / "labels.txt").write_text("\n".join(labels) + "\n")
    words = ["--labels", str(file.parent / "labels.txt"), "--preprocessing", arithmetic, *options]
    return main(["adopt", str(file), "--name", "net", "--repository", str(file.parent / "repository"), *words])


def card_of(folder: Path) -> ModelCard:
    return read_card(folder / "repository/net/1")


def standings(card: ModelCard) -> dict[str, str]:
    return {entry.what: entry.standing for entry in card.assumptions}


@pytest.fixture
def photos(tmp_path: Path) -> str:
    return str(write_photos(tmp_path / "photos"))


def test_right_assumptions_are_measured(tmp_path: Path, photos: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert adopt(write_network(tmp_path / "net.onnx", templates()), "--dataset", photos) == 0
    card = card_of(tmp_path)
    assert card.evaluation is not None
    assert card.evaluation.top1 == 1
    assert card.warnings == ()
    assert (standings(card)["head"], standings(card)["labels"]) == ("measured", "measured")
    assert "WARNING" not in capsys.readouterr().err


def test_without_labeled_images_they_are_recorded_as_declared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert adopt(write_network(tmp_path / "net.onnx", templates())) == 0
    found = standings(card_of(tmp_path))
    assert found.pop("head") == "measured"
    assert set(found.values()) == {"declared"}
    assert {"labels", "preprocessing", "size", "resize", "fit"} <= set(found)
    assert "accuracy unproven: no labeled images were given (--dataset)" in capsys.readouterr().err


def test_images_without_classes_are_not_called_none(
    tmp_path: Path, photos: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert adopt(write_network(tmp_path / "net.onnx", templates()), "--images", photos) == 0
    assert "accuracy unproven: the images of --images have no classes" in capsys.readouterr().err


def test_labels_in_another_order_than_the_data_sets_are_matched_by_name(
    tmp_path: Path, photos: str, capsys: pytest.CaptureFixture[str]
) -> None:
    order = [2, 0, 3, 1]
    file = write_network(tmp_path / "net.onnx", templates()[order])
    labels = tuple(CLASSES[index].upper() for index in order)
    assert adopt(file, "--dataset", photos, labels=labels) == 0
    card = card_of(tmp_path)
    assert card.evaluation is not None
    assert (card.evaluation.top1, card.labels) == (1, labels)
    assert "matched by name" in capsys.readouterr().err
    assert main(["evaluate", "net", "--dataset", photos, "--json", "--repository", str(tmp_path / "repository")]) == 0
    assert json.loads(capsys.readouterr().out)["top1"] == 1


def test_a_data_set_of_other_classes_says_which(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos = write_photos(tmp_path / "photos", names=("ant", "bee", "cow", "dog"))
    assert adopt(write_network(tmp_path / "net.onnx", templates()), "--dataset", str(photos)) == 0
    said = capsys.readouterr().err
    assert "accuracy unproven" in said
    assert "only in the data set: cow; only in the labels: cat" in said


WRONG: dict[str, tuple[Callable[[Templates], Templates], str]] = {
    # what the network was trained on, other than what is declared, and what is said
    "labels in another order": (
        lambda seen: seen[[2, 0, 3, 1]],
        "labels, .*the order that the answers show",
    ),
    "labels reversed": (lambda seen: seen[::-1], "labels, .* reversed order .dog, cat, bee, ant"),
    "BGR": (lambda seen: seen[..., ::-1], "channels in the order BGR gets 48 of 48 images right"),
    "rows for columns": (lambda seen: seen.transpose(0, 2, 1, 3), "rows for columns gets 48 of 48"),
    "inverted": (lambda seen: 1 - seen, "inverted brightness gets 48 of 48"),
    "another arithmetic": (lambda seen: (2 * seen - 1) * 0.5, "--preprocessing (tf|torch)"),
}


@pytest.mark.parametrize("case", WRONG)
def test_an_assumption_that_labeled_images_contradict_is_refused(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change, complaint = WRONG[case]
    patterns = COLORS if case in ("BGR", "inverted") else PATTERNS
    photos = write_photos(tmp_path / "photos", patterns)
    file = write_network(tmp_path / "net.onnx", np.ascontiguousarray(change(templates(patterns))))
    assert adopt(file, "--dataset", str(photos)) == 2
    assert re.search(complaint, capsys.readouterr().err)
    assert not (tmp_path / "repository/net").exists()


def test_a_better_resize_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A checkerboard of single pixels is white to `nearest` and gray to everything else."""
    white = np.add.outer(np.arange(16), np.arange(16)) % 2 == 0
    checkered = np.repeat(np.where(white, 240, 10)[..., None], 3, axis=2)
    patterns = np.stack([checkered, np.full_like(checkered, 125)]).astype(np.uint8)
    photos = write_photos(tmp_path / "photos", patterns, CLASSES[:2])
    file = write_network(tmp_path / "net.onnx", templates(patterns, "nearest"))
    assert adopt(file, "--dataset", str(photos), labels=CLASSES[:2]) == 0
    said = capsys.readouterr().err
    assert "WARNING: NO BETTER THAN GUESSING" in said
    assert re.search(r"resize antialias is declared, but nearest gets 24 of 24 images right, not 1\d", said)
    card = card_of(tmp_path)
    assert standings(card)["resize"] == "declared"
    assert "NO BETTER THAN GUESSING" in card.warnings[0]
    assert adopt(file, "--dataset", str(photos), "--resize", "nearest", "--name", "right", labels=CLASSES[:2]) == 0
    assert "WARNING" not in capsys.readouterr().err
    assert standings(read_card(tmp_path / "repository/right/1"))["resize"] == "measured"


@pytest.mark.parametrize("arithmetic", ["unit", "tf", "torch"])
def test_scaling_that_the_network_does_itself_is_not_declared_again(
    arithmetic: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inside = [helper.make_node("Mul", ["pixels", "by"], ["x"])]
    file = write_network(tmp_path / "net.onnx", templates(), inside)
    assert adopt(file, arithmetic=arithmetic) == 2
    assert "the network scales pixels of 0..255 itself: pass --preprocessing none" in capsys.readouterr().err
    assert adopt(file, arithmetic="none") == 0


def test_a_network_for_scaled_pixels_is_not_given_raw_ones(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    inside = [
        helper.make_node("Add", ["pixels", "minus"], ["y"]),
        helper.make_node("Div", ["y", "by"], ["x"]),
    ]
    file = write_network(tmp_path / "net.onnx", templates(), inside)
    assert adopt(file, arithmetic="none") == 2
    assert "expects pixels that were scaled before: pass --preprocessing unit" in capsys.readouterr().err


def test_a_network_that_depends_on_its_batch_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As batch normalization in training mode does."""
    inside = [
        helper.make_node("ReduceMean", ["pixels", "axis"], ["mean"]),
        helper.make_node("Sub", ["pixels", "mean"], ["x"]),
    ]
    assert adopt(write_network(tmp_path / "net.onnx", templates(), inside)) == 1
    assert "differ" in capsys.readouterr().err
    assert not (tmp_path / "repository/net").exists()


def test_json_gives_programs_what_people_are_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert adopt(write_network(tmp_path / "net.onnx", templates()), "--json") == 0
    captured = capsys.readouterr()
    told = json.loads(captured.out)
    assert (told["name"], told["head"], told["reading"]) == ("net", "logits", card_of(tmp_path).reading)
    assert told["folder"] == str(tmp_path / "repository/net/1")
    assert len(told["examples"]) == 3
    first = told["examples"][0]
    assert [len(first["own"]), len(first["served"])] == [3, 3]
    assert first["own"][0]["label"] == first["served"][0]["label"]
    assert f"{first['image']}: your network {first['own'][0]['label']}" in captured.err


@pytest.mark.parametrize(
    ("labels", "complaint"), [(CLASSES[:3], "3 labels for 4 classes"), (CLASSES, "not written by convserve")]
)
def test_what_can_not_be_published_is_said_before_the_images_are_read(
    labels: tuple[str, ...], complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "repository/net").mkdir(parents=True)
    (tmp_path / "repository/net/config.pbtxt").write_text("name: 'theirs'\n")
    file = write_network(tmp_path / "net.onnx", templates())
    assert adopt(file, "--dataset", str(tmp_path / "nowhere"), labels=labels) in (1, 2)
    assert complaint in capsys.readouterr().err
