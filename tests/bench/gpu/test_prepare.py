from pathlib import Path

import numpy as np

from app.inference.model import prepare_session
from app.settings import Settings
from bench.gpu.pack import list_packed, measure_pack, unpack
from bench.gpu.pictures import golden_files
from bench.gpu.plan import Opened
from bench.gpu.prepare import prepare_one


def test_a_prepared_network_is_unpacked_as_it_was_proved(tmp_path: Path) -> None:
    """Its hashes and its golden values are checked by the server's own loading."""
    pack = tmp_path / "pack"
    prepare_one("lenet5", pack)
    packed = list_packed(pack)
    assert set(packed) == {"lenet5", "lenet5-fp16"}
    kernels = [piece for file in packed["lenet5"].files for piece in file["pieces"] if "kernel" in piece]
    assert len(kernels) == 2, "the two large matrices; convolutions of 150 and 2,400 numbers are stored"
    assert measure_pack(pack) < 90_000
    for name in packed:
        ready = prepare_session(unpack(pack, packed[name], tmp_path / "repository"), Settings(device="cpu"))
        assert ready.replay_difference < 1e-3
    assert packed["lenet5"].multiply_adds == 416_520
    opened = Opened(packed["lenet5"], tmp_path / "repository" / "lenet5" / "1", ready.card)
    assert len(golden_files(opened)) == 8
    assert np.isfinite(ready.session.run([np.zeros(ready.card.image.shape, np.uint8)])[0].probabilities).all()
