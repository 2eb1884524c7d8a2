from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from artifact.card import read_card
from artifact.layout import list_versions
from export.errors import ProofError, PublishError, UsageError
from export.publish import write
from export.publish.pipeline import convert
from export.publish.read_back import open_published, verify_published
from export.sources.source import Source


def test_the_artifact_holds_everything_that_the_design_names(color_source: Source, tmp_path: Path) -> None:
    folder = convert(color_source, tmp_path)
    assert folder == tmp_path / "blobs/1"
    there = sorted(path.relative_to(tmp_path / "blobs").as_posix() for path in (tmp_path / "blobs").rglob("*"))
    golden = [f"1/golden/{index:02}.png" for index in range(8)]
    expected = ["1", "1/card.json", "1/classifier.npz", "1/golden", *golden, "1/golden/expected.npz", "1/model.onnx"]
    assert there == sorted([*expected, "config.pbtxt", "labels.txt"])
    card = read_card(folder)
    assert card.sha256 == hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest()
    assert (card.name, card.version, card.energy, card.features) == ("blobs", 1, True, True)
    assert card.proof.images == 24
    carried = {entry.key: entry.value for entry in onnx.load(folder / "model.onnx").metadata_props}
    assert json.loads(carried["card"])["labels"] == ["red", "green", "blue"]


def test_golden_holds_keras_and_the_graph_for_each_image(color_source: Source, tmp_path: Path) -> None:
    folder = convert(color_source, tmp_path)
    with np.load(folder / "golden/expected.npz", allow_pickle=False) as golden:
        assert golden["files"].tolist() == [f"{index:02}.png" for index in range(8)]
        assert golden["keras"].shape == golden["graph"].shape == (8, 3)
        np.testing.assert_allclose(golden["keras"], golden["graph"], atol=1e-5)


def test_triton_reads_the_same_folder(color_source: Source, tmp_path: Path) -> None:
    convert(color_source, tmp_path)
    config = (tmp_path / "blobs/config.pbtxt").read_text()
    assert 'platform: "onnxruntime_onnx"' in config
    assert "max_batch_size: 32" in config
    assert "dims: [ 12, 12, 3 ]" in config
    assert "name:" not in config.splitlines()[0]
    assert "energy" not in config
    assert (tmp_path / "blobs/labels.txt").read_text() == "red\ngreen\nblue\n"


def test_publishing_again_makes_the_next_version(color_source: Source, tmp_path: Path) -> None:
    convert(color_source, tmp_path)
    assert convert(color_source, tmp_path).name == "2"
    assert list_versions(tmp_path / "blobs") == [1, 2]
    assert open_published(tmp_path, "blobs").card.version == 2
    assert open_published(tmp_path, "blobs/1").card.version == 1


def test_other_labels_are_another_model(color_source: Source, tmp_path: Path) -> None:
    convert(color_source, tmp_path)
    with pytest.raises(PublishError, match=r"other labels .*another name with --name"):
        convert(replace(color_source, labels=("a", "b", "c")), tmp_path)
    assert list_versions(tmp_path / "blobs") == [1]


def test_a_wrong_number_of_labels_is_refused(color_source: Source, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="2 labels for 3 classes"):
        convert(replace(color_source, labels=("a", "b")), tmp_path)


def test_a_failed_write_leaves_nothing_behind(
    color_source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(write, "_write_model_files", full)
    with pytest.raises(PublishError, match="No space left on device: nothing was published"):
        convert(color_source, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_name_taken_meanwhile_moves_on_to_the_next_version(
    color_source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    convert(color_source, tmp_path)
    real = write._write_version

    def raced(folder: Path, *rest: object) -> None:
        if folder.name == "2" and not (tmp_path / "blobs/2").exists():
            (tmp_path / "blobs/2").mkdir()
            (tmp_path / "blobs/2/occupied").touch()
        real(folder, *rest)

    monkeypatch.setattr(write, "_write_version", raced)
    assert convert(color_source, tmp_path).name == "3"


def test_verify_finds_a_changed_file(color_source: Source, tmp_path: Path) -> None:
    folder = convert(color_source, tmp_path)
    assert verify_published(open_published(tmp_path, "blobs")).max_abs_difference < 1e-5
    data = bytearray((folder / "model.onnx").read_bytes())
    data[-1] ^= 1
    (folder / "model.onnx").write_bytes(bytes(data))
    with pytest.raises(ProofError, match="damaged or was exchanged"):
        verify_published(open_published(tmp_path, "blobs"))


def test_an_unknown_model_names_those_that_exist(color_source: Source, tmp_path: Path) -> None:
    convert(color_source, tmp_path)
    with pytest.raises(UsageError, match="no model 'blob': there are blobs"):
        open_published(tmp_path, "blob")
    with pytest.raises(UsageError, match="no version '7': there are 1"):
        open_published(tmp_path, "blobs/7")
