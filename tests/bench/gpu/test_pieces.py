"""The pieces on a tiny artifact and a CPU: what CI can hold of a check that is made for GPUs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

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


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    folder = tmp_path_factory.mktemp("gpu")
    for name in ("tiny", "tiny-fp16"):
        home = make_artifact(folder / "made", name).parent
        pack(home, [], "float32", folder / "pack", network="tiny", multiply_adds=64)
    write_probes(folder / "pack")
    return replace(plan_for_cpu(folder / "pack", folder / "out", ("tiny",)), seconds=0.02, load_seconds=0.3)


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
