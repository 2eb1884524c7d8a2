"""Model images: an OCI layout in a tar, the same bytes for the same version."""

import hashlib
import io
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest

from artifact.card import read_card
from artifact.layout import MODEL_FILE
from artifact.whole import check_files
from export.cli.main import main
from tests.makers.artifacts import make_artifact


def read_blob(image: dict[str, bytes], described: dict[str, Any]) -> bytes:
    kind, _, digest = described["digest"].partition(":")
    blob = image[f"blobs/{kind}/{digest}"]
    assert hashlib.sha256(blob).hexdigest() == digest
    assert len(blob) == described["size"]
    return blob


def read_tar(content: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        opened = {entry.name: tar.extractfile(entry) for entry in tar if entry.isfile()}
        return {name: file.read() for name, file in opened.items() if file is not None}


def test_an_image_holds_the_version_as_it_was_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_artifact(tmp_path / "repository")
    folder = make_artifact(tmp_path / "repository", version=2)
    monkeypatch.chdir(tmp_path)
    assert main(["pack", "tiny", "--repository", "repository"]) == 0
    image = read_tar((tmp_path / "tiny-2.tar").read_bytes())
    assert json.loads(image["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
    (listed,) = json.loads(image["index.json"])["manifests"]
    assert listed["digest"] in capsys.readouterr().out
    manifest = json.loads(read_blob(image, listed))
    config = json.loads(read_blob(image, manifest["config"]))
    (described,) = manifest["layers"]
    layer = read_blob(image, described)
    assert config["rootfs"]["diff_ids"] == [described["digest"]]
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        assert all((entry.uid, entry.gid, entry.mtime) == (0, 0, 0) for entry in tar)
        tar.extractall(tmp_path / "unpacked", filter="data")
    unpacked = tmp_path / "unpacked/models/tiny/2"
    check_files(unpacked, read_card(unpacked))
    assert (unpacked / MODEL_FILE).read_bytes() == (folder / MODEL_FILE).read_bytes()
    assert [path.name for path in (tmp_path / "unpacked/models/tiny").iterdir() if path.is_dir()] == ["2"]


def test_the_same_version_gives_the_same_bytes(tmp_path: Path) -> None:
    folder = make_artifact(tmp_path / "repository")
    images = []
    for time in (1, 2):
        for path in folder.rglob("*"):
            os.utime(path, (time, time))
        out = tmp_path / f"{time}.tar"
        assert main(["pack", "tiny/1", "--repository", str(tmp_path / "repository"), "--out", str(out)]) == 0
        images.append(out.read_bytes())
    assert images[0] == images[1]


def test_what_is_not_whole_is_not_packed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make_artifact(tmp_path / "repository")
    (folder / MODEL_FILE).write_bytes(b"other")
    out = tmp_path / "a.tar"
    assert main(["pack", "tiny", "--repository", str(tmp_path / "repository"), "--out", str(out)]) == 1
    assert "tiny version 1: it is incomplete" in capsys.readouterr().err
    assert not out.exists()


def test_a_file_that_can_not_be_written_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_artifact(tmp_path / "repository")
    out = tmp_path / "none" / "a.tar"
    assert main(["pack", "tiny", "--repository", str(tmp_path / "repository"), "--out", str(out)]) == 1
    assert "name another file with --out" in capsys.readouterr().err
