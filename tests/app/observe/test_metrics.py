from app.observe.drift import WINDOW, RecentCounts, measure_drift
from app.observe.metrics import FAMILIES, Metrics, keep_counts, merge, render


def test_a_histogram_counts_a_value_on_a_bound_below_it() -> None:
    metrics = Metrics()
    histogram = metrics.histogram("convserve_batch_rows", "m", "1")
    for rows in (1, 2, 3, 500):
        histogram.observe(rows)
    lines = render(metrics.snapshot()).splitlines()
    assert 'convserve_batch_rows_bucket{model="m",version="1",le="1"} 1' in lines
    assert 'convserve_batch_rows_bucket{model="m",version="1",le="4"} 3' in lines
    assert 'convserve_batch_rows_bucket{model="m",version="1",le="+Inf"} 4' in lines
    assert 'convserve_batch_rows_sum{model="m",version="1"} 506' in lines


def test_series_of_several_processes_are_summed_and_times_are_the_latest() -> None:
    one, two = Metrics(), Metrics()
    for metrics, moment in ((one, 5.0), (two, 7.0)):
        metrics.add("convserve_images_total", "m", "1", amount=2)
        metrics.series("last_inference_ms", "m", "1")[0] = moment
        metrics.histogram("convserve_confidence", "m", "1").observe(0.55)
    two.add("convserve_images_total", "other", "1")
    merged = merge([one.snapshot(), two.snapshot()])
    assert merged["convserve_images_total"] == {("m", "1"): [4], ("other", "1"): [1]}
    assert merged["last_inference_ms"][("m", "1")] == [7.0]
    assert merged["convserve_confidence"][("m", "1")][5] == 2


def test_what_a_process_counted_outlives_it_and_its_gauges_do_not() -> None:
    metrics = Metrics()
    metrics.add("convserve_images_total", "m", "1")
    metrics.observe_with(lambda: [("convserve_queue_rows", ("m", "1"), [3.0])])
    kept = keep_counts(metrics.snapshot())
    assert kept["convserve_images_total"] == {("m", "1"): [1]}
    assert "convserve_queue_rows" not in kept


def test_labels_are_escaped() -> None:
    metrics = Metrics()
    metrics.add("convserve_predictions_total", "m", "1", 'a "quoted"\\\nlabel')
    assert r'label="a \"quoted\"\\\nlabel"' in render(metrics.snapshot())


def test_only_the_last_windows_count_for_drift() -> None:
    recent = RecentCounts(series := [0.0, 0.0])
    for _ in range(WINDOW):
        recent.add(0)
    for _ in range(WINDOW):
        recent.add(1)
    assert series == [0, WINDOW]
    recent.add(0)
    assert series == [1, WINDOW]


def test_drift_runs_from_0_to_1_and_waits_for_enough_images() -> None:
    assert measure_drift([0, 99], [0.5, 0.5]) is None
    assert measure_drift([100, 0], [0, 1]) == 1
    assert measure_drift([50, 50], [0.5, 0.5]) == 0
    assert measure_drift([100, 100], [0, 0]) is None


def test_what_never_counted_anything_is_left_out_and_gauges_and_counts_of_the_whole_are_not() -> None:
    metrics = Metrics()
    for model in ("busy", "idle"):
        metrics.histogram("convserve_batch_rows", model, "1")
        metrics.series("convserve_images_total", model, "1")
    metrics.observe_with(lambda: [("convserve_queue_rows", ("idle", "1"), [0.0])])
    metrics.histogram("convserve_batch_rows", "busy", "1").observe(1)
    lines = render(metrics.snapshot()).splitlines()
    assert [line for line in lines if "idle" in line] == ['convserve_queue_rows{model="idle",version="1"} 0']
    assert 'convserve_batch_rows_count{model="busy",version="1"} 1' in lines
    assert not any("convserve_images_total" in line for line in lines)
    assert "convserve_worker_restarts_total 0" in lines


def test_bounds_rise() -> None:
    for name, family in FAMILIES.items():
        assert list(family.bounds) == sorted(family.bounds), name
