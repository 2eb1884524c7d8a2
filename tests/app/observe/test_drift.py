from app.observe.drift import WINDOW, RecentCounts, find_drift, measure_drift


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


def test_versions_without_a_card_s_distribution_or_enough_images_have_no_drift() -> None:
    labels = {("told", "1"): [0.5, 0.5], ("new", "1"): [0.5, 0.5]}
    recent = {("told", "1"): [100.0, 0.0], ("new", "1"): [9.0, 0.0], ("untold", "1"): [100.0, 0.0]}
    found = find_drift({"expected_classes": labels, "recent_classes": recent})
    assert found == {"convserve_class_drift": {("told", "1"): [0.5]}}
