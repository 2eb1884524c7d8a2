import pytest

from bench.gpu.floor import Rates, Work, least_seconds
from bench.gpu.machine import PEAKS, find_peak, query_card
from bench.gpu.rates import rates_for

WORK = Work(multiply_adds=1_000_000, parameters=500_000, input_bytes=1_000, bytes_a_number=4)


def test_arithmetic_bounds_a_large_batch_and_bytes_a_small_one() -> None:
    rates = Rates(flops=1e9, bytes=1e9)
    assert least_seconds(WORK, 1, rates) == pytest.approx(2.001e-3)  # bytes; 2 operations a multiply-add take 2 ms
    assert least_seconds(WORK, 100, rates) == pytest.approx(0.2)
    slow_memory = Rates(flops=1e12, bytes=1e9)
    assert least_seconds(WORK, 1, slow_memory) == pytest.approx(2.001e-3)
    assert least_seconds(WORK, 100, slow_memory) == pytest.approx(2.1e-3)


def test_half_the_bytes_a_number_halve_what_the_weights_cost() -> None:
    half = Work(0, 500_000, 0, 2)
    assert least_seconds(half, 1, Rates(1e12, 1e9)) == pytest.approx(1e-3)


@pytest.mark.parametrize(
    ("card", "known"),
    [
        ("NVIDIA H100 80GB HBM3", "H100"),
        ("NVIDIA H100 PCIe", "H100 PCIe"),
        ("NVIDIA H200", "H200"),
        ("NVIDIA L40S", "L40S"),
        ("NVIDIA L4", "L4"),
        ("NVIDIA A100-SXM4-40GB", "A100-SXM4-40GB"),
        ("NVIDIA A100-SXM4-80GB", "A100"),
        ("Tesla T4", "T4"),
        ("NVIDIA GeForce RTX 4090", "RTX 4090"),
    ],
)
def test_a_card_is_known_by_what_nvidia_smi_calls_it(card: str, known: str) -> None:
    assert find_peak(card) == PEAKS[known]


def test_a_card_that_nobody_knows_has_no_peak() -> None:
    assert find_peak("NVIDIA A10G") is None
    assert find_peak("") is None


def test_without_nvidia_smi_there_is_no_card() -> None:
    assert query_card("no-such-program") == {}


def test_models_of_single_precision_are_held_to_tf32_where_the_card_has_it() -> None:
    measured = {"fp32": 1e12, "tf32": 8e12, "fp16": 16e12, "bytes": 1e9}
    assert rates_for(measured, "fp32") == Rates(8e12, 1e9)
    assert rates_for(measured, "fp16") == Rates(16e12, 1e9)
    assert rates_for({"fp32": 1e12, "fp16": 1e12, "bytes": 1e9}, "fp32") == Rates(1e12, 1e9)
