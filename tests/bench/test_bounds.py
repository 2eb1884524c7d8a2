from functools import partial

from bench.load.bounds import judge as judge_on
from bench.load.bounds import write_bounds
from bench.load.limit import Latency
from tests.makers.measured import result

FAST = {
    "convserve": {1: 4000.0, 8: 30000.0, 32: 40000.0, 64: 42000.0},
    "naive": {1: 1400.0},
    "mosec": {8: 1000.0, 32: 9000.0, 64: 15000.0},
    "mosec-tuned": {8: 2500.0, 32: 17000.0, 64: 40000.0},
}


judge = partial(judge_on, has_avx512=False)


def test_ratios_are_judged_against_each_peer() -> None:
    held = {bound.text: bound.held for bound in judge([result("lenet5", FAST)])}
    assert held["lenet5 at 64 connections >= 1.5 x mosec: 2.80 x"]
    assert not held["lenet5 at 64 connections >= 1.3 x mosec-tuned: 1.05 x"]
    assert held["lenet5 at 32 connections >= 1.5 x the better mosec: 2.35 x"]
    assert held["lenet5 at 1 connections >= 2.5 x naive: 2.86 x"]
    assert held["lenet5 p99 at 64 connections, in turns <= 2.2 turns: 1.31"]
    assert held["lenet5 p99 at 64 connections <= 2 ms, mosec-tuned's: 2"]
    assert not held["lenet5 server CPU a request at 64 <= 0.8 of mosec-tuned's: 1"]
    assert held["lenet5 no slower at 64 connections than at 8: 1.400 x"]


def test_what_a_request_adds_to_the_work_is_judged() -> None:
    found = result("lenet5", {"convserve": {1: 4000.0}})
    found.latencies = [Latency(0.4, 0.5), Latency(0.6, 0.7), Latency(0.7, 9.0)]
    held = {bound.text: bound.held for bound in judge([found]) if "adds" in bound.text}
    assert held == {
        "lenet5 adds to decoding and the run at 1 connection, p50 <= 0.5 ms: 0.4": True,
        "lenet5 adds to decoding and the run at 1 connection, p99 <= 1.5 ms: 1.3": True,
    }


def test_what_was_not_run_is_not_judged() -> None:
    texts = [bound.text for bound in judge([result("lenet5", {"convserve": {1: 4000.0}})])]
    assert not [text for text in texts if "mosec" in text or "naive" in text or "64" in text]
    assert judge([]) == []


def test_at_eight_connections_more_is_asked_where_the_processor_has_avx512() -> None:
    rates = {**FAST, "convserve": {8: 10_000.0}}
    for has_avx512, text in ((False, ">= 3.5 x the better mosec: 4.00 x"), (True, ">= 5 x the better mosec: 4.00 x")):
        (found,) = judge_on([result("lenet5", rates)], has_avx512=has_avx512)[:1]
        assert (found.text, found.held) == (f"lenet5 at 8 connections {text}", not has_avx512)


def test_networks_with_long_runs_are_held_to_the_in_process_limit() -> None:
    found = judge([result("resnet50", {"convserve": {1: 15.0, 8: 24.5, 32: 24.0}}, limit=25.0)])
    near = {bound.text: bound.held for bound in found if "limit" in bound.text}
    assert list(near.values()) == [True, False]


def test_int8_is_held_to_peers_with_the_same_file() -> None:
    int8 = result("resnet50-int8", {"convserve": {8: 60.0}, "naive": {8: 20.0}, "mosec": {32: 40.0}})
    assert "resnet50-int8 >= the best peer, each at its best: 1.50 x" in [bound.text for bound in judge([int8])]


def test_changed_answers_and_errors_fail() -> None:
    found = result("mobilenet", {"convserve": {8: 60.0}, "naive": {8: 10.0}})
    found.changed = 2
    found.samples[0] = found.samples[0].__class__(**{**found.samples[0].__dict__, "errors": 3})
    lines = write_bounds(judge([found])).splitlines()
    assert lines[0].startswith("ok     mobilenet at 8 connections >= 3 x naive: 6.00 x")
    assert lines[1].startswith("FAILED MobileNetV2 answers changed by reduced decoding")
    assert lines[-1] == "FAILED mobilenet without errors: 3"


def test_a_service_that_did_not_start_fails_its_model() -> None:
    found = result("lenet5", {"naive": {1: 1400.0}})
    found.failures["convserve"] = "can't be started: it ended with status 1"
    assert "FAILED lenet5 measured: it can't be started: it ended with status 1" in write_bounds(judge([found]))
