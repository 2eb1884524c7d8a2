"""What convserve 0.1 wrote before cards listed their files: still read, verified, replayed and served.

tests/fixtures/format1 was made by that version: a network of three colors, and the record of a training on digits.
"""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from app.main import create_app
from app.settings import Settings
from artifact.card import read_card
from export.errors import DataError, ProofError
from export.publish.published import open_published
from export.publish.read_back import verify_published
from export.sources.run_folder import RUN_FILE, read_run

FIXTURE = Path(__file__).resolve().parents[2] / "fixtures" / "format1"


def test_the_card_is_read_with_all_that_it_says() -> None:
    card = read_card(FIXTURE / "repository/blobs/1")
    assert (card.format, card.files, card.labels) == (1, {}, ("red", "green", "blue"))
    assert card.training is not None
    assert card.training.dataset == "blobs"
    assert card.calibration is not None
    assert card.temperature == card.calibration.temperature
    assert card.score_quantiles is not None
    assert card.distribution is not None


def test_it_is_verified_as_before(tmp_path: Path) -> None:
    shutil.copytree(FIXTURE / "repository", tmp_path, dirs_exist_ok=True)
    proof = verify_published(open_published(tmp_path, "blobs"))
    assert (proof.images, proof.top1_agreement) == (8, 1)
    graph = tmp_path / "blobs/1/model.onnx"
    graph.write_bytes(graph.read_bytes()[:-1] + b"x")
    with pytest.raises(ProofError, match="damaged or was replaced"):
        verify_published(open_published(tmp_path, "blobs"))


def test_it_is_replayed_and_served_with_its_evidence() -> None:
    image = (FIXTURE / "repository/blobs/1/golden/00.png").read_bytes()
    with TestClient(create_app(Settings(repository=FIXTURE / "repository"))) as client:
        deadline = time.monotonic() + 60
        while client.get("/health/ready").status_code != 200:
            assert time.monotonic() < deadline, client.get("/models").text
            time.sleep(0.05)
        headers = {"Content-Type": "image/png"}
        answer = client.post("/predict/blobs?coverage=0.9", content=image, headers=headers).json()
        assert answer["predictions"][0]["set"]
        assert client.post("/explain/blobs", content=image, headers=headers).status_code == 200


def test_a_training_is_read_and_one_of_a_newer_convserve_is_refused(tmp_path: Path) -> None:
    run = read_run(FIXTURE / "run")
    assert (run.format, run.network.name, len(run.labels), run.seed) == (1, "lenet5", 10, 0)
    assert run.training is not None
    assert run.evaluation is not None
    there = json.loads((FIXTURE / "run" / RUN_FILE).read_text())
    (tmp_path / RUN_FILE).write_text(json.dumps({**there, "format": 4, "future": 1}))
    with pytest.raises(DataError, match=r"run\.json has format 4, .* a newer convserve: update"):
        read_run(tmp_path)
