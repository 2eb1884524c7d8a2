from typing import Any

from bench.gpu.goals import Found, judge
from bench.gpu.report import draw_plots, write_markdown


def load(rate: float, statuses: dict[str, int] | None = None) -> dict[str, Any]:
    return {
        "rate": rate,
        "p50_ms": 1.0,
        "p99_ms": 2.0,
        "statuses": statuses or {"200": 9},
        "lost": 0,
        "gpu_busy": 0.87,
        "server_cpu_ms": None,
    }


def batch(seconds: float) -> dict[str, float]:
    return dict.fromkeys(("ours_s", "plain_s", "bound_s", "arithmetic_s"), seconds) | {"least_s": seconds / 4}


FOUND: Found = {
    "a": {
        "machine": {"card": {"name": "NVIDIA Test", "driver_version": "580"}, "cores": 16},
        "device": {"device": "cuda:0", "auto": "cuda:0", "reason": "auto: CUDA works"},
        "vgg16": {
            "load_s": 1.0,
            "golden_difference": 1e-4,
            "tolerance": 2e-3,
            "memory_mb": 900.0,
            "nodes": {"Conv on CUDA": 13},
        },
    },
    "b": {"vgg16": {"variants": {"fp16": {"worst": 0.002, "equal_top1": 15, "of": 16}}}},
    "c": {
        "vgg16": {
            "precision": "fp32",
            "multiply_adds": 5,
            # The best of at most 32 rows counts: 32 / 0.02 = 1,600 a second.
            "batches": {"1": batch(0.002), "32": batch(0.02), "128": batch(0.01)},
        },
        "vgg16, alternating": {"grouped_s": 1.0, "by_turns_s": 1.5, "ratio": 1.5},
        "vgg16, cuda_graphs": {"load_s": 1.0, "batches": {"1": {"first_s": 0.5, "s": 0.001}}},
    },
    "d": {
        "vgg16, ready": {"ready_s": 6.0, "jpeg": True, "decode_s": 0.002, "cores": 16},
        "vgg16, image": {"connections": {"1": load(100), "64": load(7000)}},
        "vgg16, tensor": {"connections": {"1": load(200), "64": load(1552)}},
        "vgg16, tensor, max_queue_rows 1,024": {"connections": {"512": load(1e6, {"200": 9, "429": 3})}},
    },
    "f": {"lost device": {"error": "DriverError: cuInit gave error 100"}},
}


def test_goals_are_judged_by_what_was_measured_with_the_default_settings() -> None:
    tensors, deeper, ready, decoding = judge(FOUND)
    assert tensors.value == 1552 / 1600
    assert tensors.met
    assert (deeper.value, deeper.met) == (None, False)
    assert (ready.value, ready.met) == (6.0, False)
    assert decoding.value == 7000 * 0.002 / 16
    assert decoding.met


def test_goals_of_photos_are_not_judged_on_other_images() -> None:
    ready = {"lenet5, ready": {"ready_s": 1.0, "jpeg": False, "decode_s": 1e-4, "cores": 2}}
    assert [goal.wanted for goal in judge({"d": ready})][2:] == ["<= 5"]


def test_the_report_says_each_figure_and_each_failure() -> None:
    text = write_markdown(FOUND, list(draw_plots(FOUND)))
    for line in (
        "# NVIDIA Test",
        "| resnet152 over v2 tensors, beside in-process ONNX Runtime | >= 95% | not measured |  |",
        "| vgg16 | 1.00 | 1.0e-04 | 0.002 | 900 | 13 Conv on CUDA |",
        "| vgg16 | 2.0e-03, 15/16 |",
        "| vgg16 | 32 | 1,600 | 1,600 | 1,600 | 1,600 | 25% |",
        "- vgg16, alternating: batch sizes by turns take 1.50 times as long as each by itself",
        "| vgg16, cuda_graphs | 1.00 (500) |",
        "| vgg16, image | 64 | 7,000 | 1.0 | 2.0 |  | 0 | 87% |  |",
        "| vgg16, tensor, max_queue_rows 1,024 | 512 | 1,000,000 | 1.0 | 2.0 | 3 x 429 | 0 | 87% |  |",
        "- **lost device failed**: DriverError: cuInit gave error 100",
        "![](c-fp32.svg)",
        "![](d-tensor.svg)",
    ):
        assert line in text.splitlines(), line


def test_a_report_of_nothing_says_that_nothing_was_measured() -> None:
    assert write_markdown({}).count("not measured") == 2
    assert draw_plots({}) == {}
