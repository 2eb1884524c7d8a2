from app.observe.families import FAMILIES
from app.observe.metrics import Metrics, keep_counts, merge


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


def test_bounds_rise() -> None:
    for name, family in FAMILIES.items():
        assert list(family.bounds) == sorted(family.bounds), name
