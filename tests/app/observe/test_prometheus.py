from app.observe.metrics import Metrics
from app.observe.prometheus import render


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


def test_labels_are_escaped() -> None:
    metrics = Metrics()
    metrics.add("convserve_predictions_total", "m", "1", 'a "quoted"\\\nlabel')
    assert r'label="a \"quoted\"\\\nlabel"' in render(metrics.snapshot())


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
