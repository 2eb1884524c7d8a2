import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from app.errors import DeviceFailed, DeviceUnavailable
from app.inference.devices import ChosenDevice, CudaOptions
from app.inference.scores import TOP, Scores, score_rows
from app.inference.session import OnnxSession, batch_sizes
from artifact.card import read_card
from artifact.errors import ArtifactError
from artifact.images.frame import Pixels
from artifact.layout import MODEL_FILE
from tests.makers.artifacts import make_artifact, make_graph
from tests.makers.fake_runtime import FakeRuntime

CPU = ChosenDevice("cpu", "as set")
GPU = ChosenDevice("cuda:0", "as set")


def open_session(folder: Path, device: ChosenDevice = CPU, **options: object) -> OnnxSession:
    return OnnxSession(folder / MODEL_FILE, read_card(folder), device, **{"max_batch_size": 6, **options})  # type: ignore[arg-type]


def rows_of(*levels: int) -> list[np.ndarray]:
    return [np.full((8, 8, 1), level, np.uint8) for level in levels]


def test_rows_keep_their_order_and_are_the_same_alone_and_in_a_batch(tmp_path: Path) -> None:
    session = open_session(make_artifact(tmp_path))
    batch = session.run(rows_of(0, 255, 128))
    assert [int(scores.probabilities.argmax()) for scores in batch] == [0, 4, 2]
    for row, scores in zip(rows_of(0, 255, 128), batch, strict=True):
        np.testing.assert_array_equal(session.run([row])[0].probabilities, scores.probabilities)
        assert isinstance(scores.energy, float)


def test_a_graph_without_energy_gives_none(tmp_path: Path) -> None:
    (scores,) = open_session(make_artifact(tmp_path, energy=False)).run(rows_of(3))
    assert scores.energy is None


def test_batch_sizes_are_powers_of_two_and_the_largest() -> None:
    assert batch_sizes(1) == [1]
    assert batch_sizes(6) == [1, 2, 4, 6]
    assert batch_sizes(32) == [1, 2, 4, 8, 16, 32]


def test_warming_up_measures_each_batch_size(tmp_path: Path) -> None:
    assert list(open_session(make_artifact(tmp_path)).warm_up()) == [1, 2, 4, 6]


def test_a_core_that_was_lent_to_others_is_not_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One tiny run in 60 found a core taken for 16 ms, and the network looked too slow for the event loop."""
    session = open_session(make_artifact(tmp_path))
    run = session.run

    def wait_and_run(rows: Sequence[Pixels]) -> list[Scores]:
        time.sleep(0.05)
        return run(rows)

    monkeypatch.setattr(session, "run", wait_and_run)
    assert max(session.warm_up().values()) < 0.05


def test_however_slow_a_cpu_is_two_batch_sizes_are_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.inference.session._CPU_WARM_UP_S", 0.0)
    assert list(open_session(make_artifact(tmp_path)).warm_up()) == [1, 2]


@pytest.mark.parametrize(
    ("graph", "complaint"),
    [
        (make_graph(size=9), "input"),
        (make_graph(channels=3), "input"),
        (make_graph(energy=False), "no output energy"),
        (make_graph(("a", "b")), "2 classes, the card 5 labels"),
    ],
)
def test_a_graph_that_is_not_what_its_card_says_is_refused(tmp_path: Path, graph: object, complaint: str) -> None:
    folder = make_artifact(tmp_path)
    (folder / MODEL_FILE).write_bytes(graph.SerializeToString())  # type: ignore[attr-defined]
    with pytest.raises(ArtifactError, match=complaint):
        open_session(folder)


def test_a_file_that_is_no_graph_is_refused(tmp_path: Path) -> None:
    folder = make_artifact(tmp_path)
    (folder / MODEL_FILE).write_bytes(b"not a graph")
    with pytest.raises(ArtifactError, match=r"can't be loaded"):
        open_session(folder)


def test_cuda_pads_to_warmed_buckets_and_answers_only_the_rows_given(tmp_path: Path) -> None:
    folder, runtime = make_artifact(tmp_path), FakeRuntime()
    on_gpu = open_session(folder, GPU, runtime=runtime)
    on_gpu.warm_up()
    warmed = set(runtime.shapes_run)
    rows = rows_of(0, 64, 255)
    expected = open_session(folder).run(rows)
    found = on_gpu.run(rows)
    assert len(found) == 3
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours.probabilities, theirs.probabilities)
    assert runtime.shapes_run[-1] == (4, 8, 8, 1)
    for count in range(1, 7):
        on_gpu.run(rows_of(*[9] * count))
    assert set(runtime.shapes_run) == warmed, "no shape that wasn't warmed"


def test_a_batch_after_a_larger_one_has_nothing_of_it(tmp_path: Path) -> None:
    session = open_session(make_artifact(tmp_path), GPU, runtime=FakeRuntime())
    first = session.run(rows_of(0, 0, 0, 0))
    session.run(rows_of(255, 255, 255))
    assert int(first[0].probabilities.argmax()) == 0
    assert [int(s.probabilities.argmax()) for s in session.run(rows_of(255, 128, 0, 64))] == [4, 2, 0, 1]


def test_a_silent_fall_back_to_the_cpu_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DeviceUnavailable, match="fell back"):
        open_session(make_artifact(tmp_path), GPU, runtime=FakeRuntime(falls_back=True))


def test_a_convolution_on_the_cpu_is_refused_but_a_shape_is_not(tmp_path: Path) -> None:
    folder = make_artifact(tmp_path)
    with pytest.raises(DeviceUnavailable, match="FusedConv would run on the CPU"):
        open_session(folder, GPU, runtime=FakeRuntime(ops_on_cpu=("FusedConv",)))
    open_session(folder, GPU, runtime=FakeRuntime())


def test_cuda_graphs_keep_one_graph_a_bucket_and_one_thread(tmp_path: Path) -> None:
    """The fake runtime raises where a graph is replayed from another thread or with other addresses."""
    folder, runtime = make_artifact(tmp_path), FakeRuntime()
    session = open_session(folder, GPU, runtime=runtime, cuda=CudaOptions(cuda_graphs=True))
    session.warm_up()
    assert set(runtime.replayed) == {1, 2, 3, 4}, "buckets of 1, 2, 4 and 6 rows"
    expected = open_session(folder).run(rows_of(0, 64, 255))
    with ThreadPoolExecutor(3) as threads:
        for found in threads.map(session.run, [rows_of(0, 64, 255)] * 6):
            for ours, theirs in zip(found, expected, strict=True):
                np.testing.assert_array_equal(ours.probabilities, theirs.probabilities)
    assert set(runtime.replayed) == {1, 2, 3, 4}, "no graph that wasn't recorded while warming up"


def test_a_graph_that_cannot_be_captured_runs_without(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    runtime = FakeRuntime(captures=False)
    session = open_session(make_artifact(tmp_path), GPU, runtime=runtime, cuda=CudaOptions(cuda_graphs=True))
    assert [int(s.probabilities.argmax()) for s in session.run(rows_of(255, 0))] == [4, 0]
    assert not runtime.replayed
    assert "runs without CUDA graphs: This session cannot use" in caplog.text


def test_a_session_tells_where_its_nodes_ran(tmp_path: Path) -> None:
    session = open_session(make_artifact(tmp_path), GPU, runtime=FakeRuntime())
    assert ("Shape", "CPUExecutionProvider", 1) in session.placement
    assert ("FusedConv", "CUDAExecutionProvider", 1) in session.placement


def test_errors_of_the_device_are_told_from_errors_of_a_row(tmp_path: Path) -> None:
    runtime = FakeRuntime()
    session = open_session(make_artifact(tmp_path), GPU, runtime=runtime)
    runtime.run_error = RuntimeError("CUDA failure 700: an illegal memory access was encountered")
    with pytest.raises(DeviceFailed):
        session.run(rows_of(1))
    runtime.run_error = RuntimeError("INVALID_ARGUMENT: bad row")
    with pytest.raises(RuntimeError, match="bad row"):
        session.run(rows_of(1))


@pytest.mark.parametrize("classes", [2, 10, 32, 33, 1000])
def test_the_top_is_ranked_alike_for_few_classes_and_many(classes: int) -> None:
    rows = np.random.default_rng(classes).integers(0, 7, (6, classes)).astype(np.float32) / 7  # many equal ones
    rows[4, 1], rows[5, 0] = np.nan, np.inf
    for row, scores in zip(rows, score_rows(rows), strict=True):
        assert scores.is_finite == bool(np.isfinite(row).all())
        if scores.is_finite:
            best = np.argsort(-row, kind="stable")[:TOP]
            assert scores.top == [(int(index), float(row[index])) for index in best]
