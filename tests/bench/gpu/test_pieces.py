"""The pieces on a tiny artifact and a CPU: what CI can hold of a check that is made for GPUs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import simplejpeg

from app.inference.devices import CudaOptions
from bench.gpu import cuda, decoding, failures, precision, served, speed
from bench.gpu.busy import BusyShare
from bench.gpu.driver import Driver
from bench.gpu.pack import PackError, pack
from bench.gpu.plan import Piece, Plan, plan_for_cpu
from bench.gpu.probes import write_probes
from bench.gpu.report import write_report
from bench.gpu.results import Results
from bench.gpu.run import run_piece
from tests.makers.artifacts import make_artifact
from tests.makers.fake_runtime import FakeRuntime


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    folder = tmp_path_factory.mktemp("gpu")
    for name in ("tiny", "tiny-fp16"):
        home = make_artifact(folder / "made", name).parent
        pack(home, [], "float32", folder / "pack", network="tiny", multiply_adds=64)
    write_probes(folder / "pack")
    return replace(plan_for_cpu(folder / "pack", folder / "out", ("tiny",)), seconds=0.02, load_seconds=0.3, side=64)


def run(name: str, piece: Piece, plan: Plan) -> dict[str, Any]:
    assert run_piece(name, piece, plan, minutes=5)
    steps = Results(plan.out, name).steps
    assert not {step: found["error"] for step, found in steps.items() if "error" in found}
    return steps


def test_the_checks_of_the_server_are_shown(plan: Plan) -> None:
    steps = run("a", cuda.steps, plan)
    assert steps["device"]["device"] == "cpu"
    assert steps["tiny"]["golden_difference"] == 0
    assert steps["machine"]["cores"] >= 1


def test_precisions_are_compared_with_the_cpu(plan: Plan) -> None:
    steps = run("b", precision.steps, plan)
    assert list(steps) == ["tiny"], "a variant is no network of its own"
    assert steps["tiny"]["variants"]["fp16"] == {"worst": 0, "equal_top1": 11, "of": 11, "changed_margin": 0}


def test_speed_is_measured_at_each_batch_size(plan: Plan) -> None:
    steps = run("c", speed.steps, plan)
    assert set(steps) == {"rates", "tiny", "tiny, alternating", "tiny-fp16", "tiny-fp16, alternating"}
    assert set(steps["tiny"]["batches"]) == {"1", "4"}
    assert all(seconds > 0 for batch in steps["tiny"]["batches"].values() for seconds in batch.values())


def test_the_service_is_loaded_over_both_forms(plan: Plan) -> None:
    steps = run("d", served.steps, plan)
    for form in ("image", "tensor"):
        for load in steps[f"tiny, {form}"]["connections"].values():
            assert set(load["statuses"]) == {"200"}
            assert load["lost"] == 0
            assert load["rate"] > 0
    assert steps["tiny, ready"]["jpeg"] is False


@pytest.fixture
def on_gpu(plan: Plan, tmp_path: Path) -> Plan:
    """As on a machine with a GPU, which computes on the CPU."""
    return replace(plan, runtime="gpu", out=tmp_path, batches=(1, 32), patience_s=1.5, onnx=FakeRuntime())


def test_on_a_gpu_the_nodes_are_shown_and_tf32_is_a_precision_too(on_gpu: Plan) -> None:
    steps = run("a", cuda.steps, on_gpu)
    assert steps["device"] == {"device": "cuda:0", "auto": "cuda:0", "reason": "auto: CUDA works"}
    assert steps["tiny"]["nodes"] == {"FusedConv on CUDA": 1, "MatMul on CUDA": 1, "Shape on CPU": 1}
    assert set(run("b", precision.steps, on_gpu)["tiny"]["variants"]) == {"fp32", "tf32", "fp16"}


def test_on_a_gpu_every_option_is_tried(on_gpu: Plan) -> None:
    steps = run("c", speed.steps, on_gpu)
    assert "tf32" in steps["rates"]
    for title in speed.OPTIONS:
        assert set(steps[f"tiny, {title}"]["batches"]) == {"1", "32"}
    assert on_gpu.onnx.replayed, "CUDA graphs"
    assert "| tiny, cuda_graphs |" in write_report(on_gpu.out).read_text()


def test_options_differ_from_the_defaults_in_one_thing_each() -> None:
    assert speed.OPTIONS["defaults"] == CudaOptions()
    for title, options in speed.OPTIONS.items():
        differing = [name for name in vars(options) if getattr(options, name) != getattr(CudaOptions(), name)]
        assert len(differing) == (title != "defaults"), title


class FakeDriver:
    def __init__(self) -> None:
        self.said: list[str] = []

    def fill_memory(self) -> int:
        self.said.append("full")
        return 5_000_000

    def free_memory(self) -> None:
        self.said.append("free")


def test_a_full_card_is_freed_again_and_the_service_watched(plan: Plan) -> None:
    driver = FakeDriver()
    found = failures.fill_memory(plan, "tiny", driver)  # type: ignore[arg-type]
    assert driver.said == ["full", "free"]
    assert found["taken_mb"] == 5
    assert len(found["full"]) == 1
    assert found["statuses"] == [200]


def test_a_server_that_is_to_lose_its_device_is_watched_and_another_started(plan: Plan) -> None:
    """Without a driver it loses nothing, and goes on."""
    found = failures.lose_device(replace(plan, patience_s=1.5), "tiny")
    assert (found["before"], found["in_a_new_process"], found["exit"]) == (200, 200, None)
    assert set(found["statuses"]) == {200}


class FakeCodec:
    """nvImageCodec's interface over simplejpeg, one level brighter."""

    class Decoder:
        def __init__(self, *, device_id: int, options: str) -> None:
            assert options == ":fancy_upsampling=1"

        def decode(self, files: list[bytes]) -> list[FakeCodec.Image]:
            return [FakeCodec.Image(simplejpeg.decode_jpeg(file)) for file in files]

    class Image:
        def __init__(self, pixels: np.ndarray) -> None:
            self._pixels = pixels

        def cpu(self) -> np.ndarray:
            return self._pixels + 1


def test_the_gpu_s_decoder_is_compared_with_ours(on_gpu: Plan) -> None:
    photo = simplejpeg.encode_jpeg(np.full((16, 16, 3), 100, np.uint8))
    found = decoding.decode_on_gpu(FakeCodec, on_gpu, [photo, photo])
    assert (found["worst_levels"], found["mean_levels"]) == (1, 1)
    assert set(found["images_per_s"]) == {"1", "8", "32", "64"}


def test_over_http_three_networks_take_both_forms_and_one_that_a_goal_names_tensors(tmp_path: Path) -> None:
    for name in ("lenet5", "resnet152", "vgg19"):
        home = make_artifact(tmp_path / "made", name).parent
        pack(home, [], "float32", tmp_path / "pack", network=name, multiply_adds=64)
    steps = [name for name, _ in served.steps(Plan("gpu", tmp_path / "pack", tmp_path / "out"))]
    assert steps == [
        "lenet5, ready",
        "lenet5, image",
        "lenet5, image, max_queue_rows 1,024",
        "lenet5, tensor",
        "lenet5, tensor, max_queue_rows 1,024",
        "resnet152, tensor",
    ]


def test_decoding_of_photos_is_left_out_where_no_network_reads_them(plan: Plan) -> None:
    assert "skipped" in run("e", decoding.steps, plan)["photos"]


def test_models_are_loaded_over_and_over(plan: Plan) -> None:
    steps = run("f", failures.steps, plan)
    assert list(steps) == ["reloads"], "nothing can be provoked without a GPU"
    assert len(steps["reloads"]["mb"]) == plan.reloads


def test_a_report_is_written_of_what_there_is(plan: Plan) -> None:
    run("a", cuda.steps, plan)
    run("c", speed.steps, plan)
    text = write_report(plan.out).read_text()
    assert "| tiny | 4 |" in text
    assert (plan.out / "c-fp32.svg").read_text().startswith("<svg")


def test_a_network_that_the_pack_lacks_is_named(plan: Plan) -> None:
    with pytest.raises(PackError, match="has no vgg16, only tiny, tiny-fp16"):
        _ = plan_for_cpu(plan.pack, plan.out, ("vgg16",)).packed


def test_threads_that_decode_share_the_photos() -> None:
    found = decoding.decode_on_cores(len, [b"one", b"two"], seconds=0.01)
    assert list(found["images_per_s"])[-1] == str(found["cores"])
    assert all(rate > 0 for rate in found["images_per_s"].values())


def test_two_decodings_are_compared_in_levels() -> None:
    ours = [np.zeros((2, 2, 3), np.uint8), np.full((1, 1, 3), 255, np.uint8)]
    theirs = [np.full((2, 2, 3), 4, np.uint8), np.full((1, 1, 3), 253, np.uint8)]
    assert decoding.compare_pixels(ours, theirs) == {"worst_levels": 4, "mean_levels": 3}


def test_a_changed_class_comes_with_its_margin() -> None:
    expected = np.float32([[0.6, 0.4], [0.51, 0.49]])
    found = precision.compare(expected, np.float32([[0.7, 0.3], [0.49, 0.51]]))
    assert (found["equal_top1"], found["of"]) == (1, 2)
    assert found["worst"] == pytest.approx(0.1)
    assert found["changed_margin"] == pytest.approx(0.02)
    with pytest.raises(ValueError, match="not finite"):
        precision.compare(expected, np.float32([[np.nan, 0], [1, 0]]))


def test_without_a_driver_there_is_no_busy_share_and_nothing_to_provoke() -> None:
    with BusyShare(0, "no-such-library.so") as busy:
        pass
    assert busy.mean() is None
    with pytest.raises(OSError, match="no-such-library"):
        Driver(0, "no-such-library.so")
