from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from artifact.card import read_card
from artifact.figures.precision import Precision
from artifact.layout import list_versions
from export.errors import ProofError, PublishError, UsageError
from export.proof import runtime
from export.proof.precision.lowering import Lowering
from export.publish import write
from export.publish.pipeline import convert
from export.publish.published import open_published
from export.publish.read_back import verify_published
from export.sources.source import ProofImages, Source


def test_the_artifact_holds_everything_that_the_design_names(color_source: Source, tmp_path: Path) -> None:
    folder = convert(color_source, tmp_path)
    assert folder == tmp_path / "blobs/1"
    there = sorted(path.relative_to(tmp_path / "blobs").as_posix() for path in (tmp_path / "blobs").rglob("*"))
    golden = [f"1/golden/{index:02}.png" for index in range(8)]
    expected = ["1", "1/card.json", "1/classifier.npz", "1/golden", *golden, "1/golden/expected.npz", "1/model.onnx"]
    expected += ["1/report", "1/report/examples.json"]
    assert there == sorted([*expected, "config.pbtxt", "labels.txt"])
    card = read_card(folder)
    assert card.sha256 == hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest()
    listed = {f"1/{name}": (file.size, file.sha256) for name, file in card.files.items()}
    assert listed == {
        name: (len(data), hashlib.sha256(data).hexdigest())
        for name in expected
        if "." in name and name != "1/card.json"
        for data in [(tmp_path / "blobs" / name).read_bytes()]
    }
    assert (card.name, card.version, card.energy, card.features) == ("blobs", 1, True, True)
    assert card.proof.images == 24


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_the_graph_says_what_was_known_before_the_proof(
    color_source: Source, tmp_path: Path, precision: Precision
) -> None:
    folder = convert(color_source, tmp_path, precision)
    carried = {entry.key: entry.value for entry in onnx.load(folder / "model.onnx").metadata_props}
    assert set(carried) == {"network", "labels", "image", "preprocessing", "head", "license"}
    assert json.loads(carried["labels"]) == ["red", "green", "blue"]
    assert json.loads(carried["network"])["origin"] == "keras-file"
    assert (carried["head"], carried["license"]) == ("logits", "CC0-1.0")


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_the_bytes_that_were_proved_are_those_that_are_published(
    color_source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: Precision
) -> None:
    opened: list[bytes] = []
    real = runtime.open_session

    def remember(graph: bytes | str, threads: int = 0) -> runtime.Session:
        if isinstance(graph, str):  # one in memory, of int8's search, is no proof of a file
            opened.append(Path(graph).read_bytes())
        return real(graph, threads)

    monkeypatch.setattr(runtime, "open_session", remember)
    images = replace(color_source.images, calibration=color_source.images.samples)
    lowering = Lowering(budget=1, allow_slower=True)
    published = convert(replace(color_source, images=images), tmp_path, precision, lowering=lowering) / "model.onnx"
    lowered = 0 if precision == "fp32" else -2  # then fp32, whose speed stands beside its own
    assert len(opened) == {"fp32": 1, "fp16": 3, "int8": 4}[precision]
    assert opened[lowered] == published.read_bytes()


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
        convert(labeled(color_source, "a", "b", "c"), tmp_path)
    assert list_versions(tmp_path / "blobs") == [1]


def labeled(source: Source, *labels: str) -> Source:
    return replace(source, provenance=source.provenance.model_copy(update={"labels": labels}))


def test_a_wrong_number_of_labels_is_refused_before_any_work(
    color_source: Source, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UsageError, match="2 labels for 3 classes"):
        convert(labeled(color_source, "a", "b"), tmp_path)
    assert "converting" not in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("writer", ["pipeline.write_graph", "contents.write_golden", "write._write_model_files"])
def test_a_disk_that_refuses_is_one_line_and_leaves_nothing_behind(
    color_source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writer: str
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(f"export.publish.{writer}", full)
    with pytest.raises(PublishError, match="No space left on device: nothing was published"):
        convert(color_source, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("stage", ["pipeline.prove", "contents.write_report", "write._move_into_place"])
def test_an_interrupt_leaves_nothing_behind(
    color_source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    def interrupt(*_: object) -> None:
        assert list(tmp_path.iterdir()), "a draft is there while it is made"
        raise KeyboardInterrupt

    samples = color_source.images.samples
    known = replace(color_source, images=ProofImages(samples, "color blobs", "blobs"))
    monkeypatch.setattr(f"export.publish.{stage}", interrupt)
    with pytest.raises(KeyboardInterrupt):
        convert(known, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_another_model_of_the_name_is_refused_before_the_proof(
    color_source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    convert(color_source, tmp_path)
    monkeypatch.delattr("export.publish.pipeline.prove")
    with pytest.raises(PublishError, match="another name with --name"):
        convert(labeled(color_source, "a", "b", "c"), tmp_path)


def test_a_number_taken_meanwhile_moves_on_to_the_next_and_only_the_card_changes(
    color_source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    convert(color_source, tmp_path)
    real, seen = write._move_into_place, []

    def raced(written: Path, home: Path, version: int) -> bool:
        seen.append({path: path.stat().st_mtime_ns for path in written.rglob("*") if path.name != "card.json"})
        if version == 2:
            (home / "2").mkdir()
            (home / "2/occupied").touch()
        return real(written, home, version)

    monkeypatch.setattr(write, "_move_into_place", raced)
    folder = convert(color_source, tmp_path)
    assert folder.name == "3"
    assert read_card(folder).version == 3
    assert seen[0] == seen[1]
    verify_published(open_published(tmp_path, "blobs/3"))


def test_verify_finds_a_changed_file(color_source: Source, tmp_path: Path) -> None:
    folder = convert(color_source, tmp_path)
    assert verify_published(open_published(tmp_path, "blobs")).max_abs_difference < 1e-5
    data = bytearray((folder / "model.onnx").read_bytes())
    data[-1] ^= 1
    (folder / "model.onnx").write_bytes(bytes(data))
    with pytest.raises(ProofError, match="damaged or was replaced"):
        verify_published(open_published(tmp_path, "blobs"))


def test_an_unknown_model_names_those_that_exist(color_source: Source, tmp_path: Path) -> None:
    convert(color_source, tmp_path)
    with pytest.raises(UsageError, match="no model 'blob': there are blobs"):
        open_published(tmp_path, "blob")
    with pytest.raises(UsageError, match="no version '7': there are 1"):
        open_published(tmp_path, "blobs/7")


def test_a_configuration_that_is_not_ours_is_kept_until_told_otherwise(color_source: Source, tmp_path: Path) -> None:
    config = tmp_path / "blobs/config.pbtxt"
    convert(color_source, tmp_path)
    convert(color_source, tmp_path)  # over our own
    config.write_text(config.read_text() + "instance_group [ { count: 4 } ]\n")
    theirs = config.read_text()
    with pytest.raises(PublishError, match=r"not written by convserve.*--replace-config"):
        convert(color_source, tmp_path)
    assert config.read_text() == theirs
    assert convert(color_source, tmp_path, replace_config=True).name == "3"
    assert config.read_text() != theirs


def test_looking_whether_a_repository_can_be_written_makes_none(tmp_path: Path) -> None:
    write.check_writable(tmp_path / "new/repository")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(PublishError, match="nothing can be published there"):
        write.check_writable(tmp_path / "file/repository")
