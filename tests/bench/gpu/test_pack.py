from pathlib import Path

import numpy as np
import pytest

from bench.gpu.kernels import Kernel
from bench.gpu.pack import PackError, list_packed, measure_pack, pack, unpack


def make_kernel(seed: str) -> Kernel:
    return Kernel(seed, (3, 3, 16, 32), (3, 2, 0, 1), 0, np.linspace(0.5, 2, 32).astype("<f4").tobytes())


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Two files with kernels among other bytes, one without."""
    version = tmp_path / "repository" / "net" / "1"
    version.mkdir(parents=True)
    one, two = make_kernel("a"), make_kernel("b")
    other = np.random.default_rng(0).bytes(20_000)
    (version / "model.onnx").write_bytes(b"head" + one.content("float16") + other + two.content("float16") + b"tail")
    (version / "classifier.npz").write_bytes(b"zip" + two.content("float32"))
    (version / "card.json").write_text("{}")
    (version.parent / "labels.txt").write_text("cat\ndog\n")
    return version.parent


def pack_all(home: Path, to: Path) -> None:
    pack(home, [make_kernel("a"), make_kernel("b")], "float16", to, network="net", multiply_adds=12)


def test_what_was_packed_is_unpacked_to_the_last_byte(home: Path, tmp_path: Path) -> None:
    pack_all(home, tmp_path / "pack")
    packed = list_packed(tmp_path / "pack")["net"]
    assert (packed.network, packed.multiply_adds) == ("net", 12)
    version = unpack(tmp_path / "pack", packed, tmp_path / "again")
    assert version == tmp_path / "again" / "net" / "1"
    files = sorted(path.relative_to(home) for path in home.rglob("*") if path.is_file())
    assert len(files) == 4
    for name in files:
        assert (tmp_path / "again" / "net" / name).read_bytes() == (home / name).read_bytes()


def test_kernels_take_no_room(home: Path, tmp_path: Path) -> None:
    pack_all(home, tmp_path / "pack")
    assert sum(path.stat().st_size for path in home.rglob("*") if path.is_file()) > 50_000
    assert measure_pack(tmp_path / "pack") < 25_000


def test_a_damaged_pack_is_told_and_leaves_nothing_behind(home: Path, tmp_path: Path) -> None:
    pack_all(home, tmp_path / "pack")
    (blob,) = (tmp_path / "pack" / "blobs").iterdir()
    blob.write_bytes(b"rubbish")
    with pytest.raises(PackError, match="carry the pack here again"):
        unpack(tmp_path / "pack", list_packed(tmp_path / "pack")["net"], tmp_path / "again")
    assert not list((tmp_path / "again").iterdir())


def test_bytes_that_are_not_what_was_packed_are_refused(home: Path, tmp_path: Path) -> None:
    pack_all(home, tmp_path / "pack")
    packed = list_packed(tmp_path / "pack")["net"]
    model = next(file for file in packed.files if file["path"].endswith("model.onnx"))
    next(piece for piece in model["pieces"] if "kernel" in piece)["kernel"]["seed"] = "c"
    with pytest.raises(PackError, match=r"net/1/model\.onnx is damaged in the pack"):
        unpack(tmp_path / "pack", packed, tmp_path / "again")


def test_a_pack_that_was_made_anew_replaces_what_was_unpacked(home: Path, tmp_path: Path) -> None:
    pack_all(home, tmp_path / "pack")
    unpack(tmp_path / "pack", list_packed(tmp_path / "pack")["net"], tmp_path / "again")
    (home / "1" / "card.json").write_text('{"new": 1}')
    pack_all(home, tmp_path / "pack")
    version = unpack(tmp_path / "pack", list_packed(tmp_path / "pack")["net"], tmp_path / "again")
    assert (version / "card.json").read_text() == '{"new": 1}'


def test_a_folder_without_a_pack_says_how_one_is_made(tmp_path: Path) -> None:
    with pytest.raises(PackError, match=r"bench\.gpu prepare"):
        list_packed(tmp_path)
