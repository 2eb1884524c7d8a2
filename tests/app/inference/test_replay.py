from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from app.inference.devices import ChosenDevice
from app.inference.replay import replay
from app.inference.session import OnnxSession
from artifact.card import Replay, read_card
from artifact.errors import ArtifactError
from artifact.layout import GOLDEN_FILE, GOLDEN_FOLDER, MODEL_FILE
from artifact.whole import check_files
from tests.makers.artifacts import make_artifact, make_graph, replace_graph, sign, write_golden
from tests.makers.fake_runtime import FakeRuntime


def replay_on_cpu(folder: Path) -> float:
    card = read_card(folder)
    check_files(folder, card)
    session = OnnxSession(folder / MODEL_FILE, card, ChosenDevice("cpu", ""), max_batch_size=2)
    return replay(folder, card, session)


def change_one_weight(by: float) -> onnx.ModelProto:
    graph = make_graph()
    (slope,) = (tensor for tensor in graph.graph.initializer if tensor.name == "slope")
    changed = numpy_helper.to_array(slope).copy()
    changed[0, 2] += by
    slope.CopyFrom(numpy_helper.from_array(changed, "slope"))
    return graph


def write_expected(folder: Path, **arrays: object) -> None:
    """`graph` stands for what Keras gave, too."""
    if "graph" in arrays:
        arrays["keras"] = arrays["graph"]
    np.savez(folder / GOLDEN_FOLDER / GOLDEN_FILE, **arrays)  # type: ignore[arg-type]
    sign(folder)


def write_signed(file: Path, content: bytes) -> None:
    """Exchange a golden file and its hash in the card along with it."""
    file.write_bytes(content)
    sign(file.parent.parent)


def exchange(file: Path) -> None:
    """Other bytes, as many as before."""
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def test_a_good_artifact_replays_exactly(tmp_path: Path) -> None:
    assert replay_on_cpu(make_artifact(tmp_path)) == 0


def test_one_changed_weight_is_refused_though_the_hash_was_changed_along(tmp_path: Path) -> None:
    folder = make_artifact(tmp_path)
    replace_graph(folder, change_one_weight(0.01))
    with pytest.raises(ArtifactError, match=r"differs by .* the tolerance is 0.0001"):
        replay_on_cpu(folder)


def test_a_damaged_file_is_found_by_its_hash(tmp_path: Path) -> None:
    folder = make_artifact(tmp_path)
    exchange(folder / MODEL_FILE)
    with pytest.raises(ArtifactError, match="sha256"):
        replay_on_cpu(folder)


def test_probabilities_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    folder = make_artifact(tmp_path)
    replace_graph(folder, change_one_weight(float("nan")))
    with pytest.raises(ArtifactError, match="not finite"):
        replay_on_cpu(folder)


def test_a_changed_class_is_refused_where_the_golden_margin_was_clear(tmp_path: Path) -> None:
    folder = make_artifact(tmp_path, replay=Replay(cpu=0.2))
    write_golden(folder, read_card(folder), levels=(95,))  # half way between dark (64) and gray (128)
    with np.load(folder / GOLDEN_FOLDER / GOLDEN_FILE) as arrays:
        moved = arrays["graph"] + np.array([0, -0.15, 0.15, 0, 0], np.float32)
    assert moved[0, 2] - moved[0, 1] > 0.2
    write_expected(folder, files=np.array(["95.png"]), graph=moved)
    with pytest.raises(ArtifactError, match=r"class of 95.png changed"):
        replay_on_cpu(folder)


def test_a_tolerance_for_cuda_is_its_own(tmp_path: Path) -> None:
    folder = make_artifact(tmp_path, replay=Replay(cpu=0, cuda=0.9))
    replace_graph(folder, change_one_weight(0.001))
    card = read_card(folder)
    session = OnnxSession(
        folder / MODEL_FILE, card, ChosenDevice("cuda:0", ""), max_batch_size=2, runtime=FakeRuntime()
    )
    assert 0 < replay(folder, card, session) < 0.9
    with pytest.raises(ArtifactError):
        replay_on_cpu(folder)


@pytest.mark.parametrize(
    ("break_it", "complaint"),
    [
        (lambda golden: (golden / GOLDEN_FILE).unlink(), r"incomplete: missing golden/expected\.npz: "),
        (lambda golden: (golden / GOLDEN_FILE).write_bytes(b"junk"), r"missing golden/expected\.npz \(4 of "),
        (lambda golden: write_signed(golden / GOLDEN_FILE, b"junk"), "can't be read"),
        (lambda golden: (golden / "0.png").unlink(), r"incomplete: missing golden/0\.png: "),
        (lambda golden: exchange(golden / "0.png"), r"golden/0\.png is damaged or was replaced: its sha256"),
        (lambda golden: write_signed(golden / "0.png", b"junk"), "golden image"),
        (lambda golden: write_expected(golden.parent, files=np.array(["0.png"])), "can't be read"),
        (
            lambda golden: write_expected(golden.parent, files=np.array(["0.png"]), graph=np.zeros((1, 4))),
            "of shape",
        ),
        (
            lambda golden: write_expected(golden.parent, files=np.array(["../x"]), graph=np.zeros((1, 5))),
            "outside its folder",
        ),
        (
            lambda golden: write_expected(golden.parent, files=np.array([{}], object), graph=np.zeros((1, 5))),
            "can't be read",
        ),
    ],
)
def test_broken_golden_files_are_refused_with_the_reason(tmp_path: Path, break_it: object, complaint: str) -> None:
    folder = make_artifact(tmp_path)
    break_it(folder / GOLDEN_FOLDER)  # type: ignore[operator]
    with pytest.raises(ArtifactError, match=complaint):
        replay_on_cpu(folder)
