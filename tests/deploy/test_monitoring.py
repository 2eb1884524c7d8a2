import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from app.observe.families import FAMILIES
from app.observe.live_accuracy import Told, count_told, measure_live_accuracy
from app.observe.metrics import Metrics
from app.observe.prometheus import render
from tests.makers.deploy_files import read_yaml
from tests.makers.sources import ROOT

PROMETHEUS = ROOT / "deploy" / "prometheus"
DASHBOARD = json.loads((ROOT / "deploy" / "grafana" / "dashboards" / "convserve.json").read_text())


def our_metrics() -> set[str]:
    """Every name that /metrics can hold."""
    names = set()
    for name, family in FAMILIES.items():
        if family.kind == "histogram":
            names |= {f"{name}_{part}" for part in ("bucket", "sum", "count")}
        elif not family.internal:
            names.add(name)
    return names


def expressions() -> list[str]:
    shown = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
    asked = [variable["query"]["query"] for variable in DASHBOARD["templating"]["list"]]
    rules = [rule["expr"] for group in read_yaml("deploy/prometheus/rules.yml")["groups"] for rule in group["rules"]]
    return [*shown, *asked, *rules]


@pytest.mark.parametrize("expression", expressions())
def test_dashboard_and_alerts_ask_for_metrics_that_exist(expression: str) -> None:
    assert set(re.findall(r"convserve_\w+", expression)) <= our_metrics()


@pytest.mark.parametrize("expression", expressions())
def test_dashboard_and_alerts_ask_by_labels_that_exist(expression: str) -> None:
    labels = {label for family in FAMILIES.values() for label in family.labels} | {"le", "instance", "job"}
    named = re.findall(r"by \(([^)]*)\)", expression) + re.findall(r"\{(\w+)=", expression)
    assert {label.strip() for group in named for label in group.split(",")} <= labels


def test_an_empty_service_has_metrics_to_show() -> None:
    assert render({}).endswith("\n")


def test_every_panel_has_a_place_of_its_own() -> None:
    taken = [
        (x, y)
        for grid in (panel["gridPos"] for panel in DASHBOARD["panels"])
        for x in range(grid["x"], grid["x"] + grid["w"])
        for y in range(grid["y"], grid["y"] + grid["h"])
    ]
    assert len(taken) == len(set(taken))
    assert max(x for x, _ in taken) < 24


def test_the_dashboard_reads_the_provisioned_data_source() -> None:
    (source,) = read_yaml("deploy/grafana/provisioning/datasources/prometheus.yml")["datasources"]
    assert {panel["datasource"]["uid"] for panel in DASHBOARD["panels"]} == {source["uid"]}


def test_the_calibration_error_of_the_dashboard_is_that_of_its_bins(tmp_path: Path) -> None:
    """Of ten images that were half sure, none is right; of ten that were nearly sure, nine."""
    if shutil.which("promtool") is None:
        pytest.skip("promtool isn't installed (Debian's package prometheus has it)")
    metrics = Metrics()
    for confidence, right in [(0.5, False)] * 10 + [(0.99, True)] * 9 + [(0.99, False)]:
        count_told(metrics, "m", 1, Told(confidence, right))
    snapshot = metrics.snapshot()
    live = measure_live_accuracy(snapshot, "m", 1)
    assert live is not None
    counted = [line.rpartition(" ") for line in render(snapshot).splitlines() if line.startswith("convserve_feedback")]
    hourly = [{"series": series, "values": f"0+{value}x48"} for series, _, value in counted]
    (shown,) = [
        panel["targets"][0]["expr"] for panel in DASHBOARD["panels"] if panel["title"].startswith("Calibration")
    ]
    expected = {
        "expr": f"round({shown.replace('$model', '.*')}, 1e-6)",
        "eval_time": "30h",
        "exp_samples": [{"labels": '{model="m", version="1"}', "value": round(live.calibration_error, 6)}],
    }
    test = {"interval": "1h", "input_series": hourly, "promql_expr_test": [expected]}
    (tmp_path / "test.yml").write_text(json.dumps({"tests": [test]}))  # JSON is YAML
    result = subprocess.run(
        ["promtool", "test", "rules", "test.yml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    "words", [("check", "config", "prometheus.yml"), ("test", "rules", "rules_test.yml")], ids=["config", "rules"]
)
def test_prometheus_itself_accepts(words: tuple[str, ...]) -> None:
    if shutil.which("promtool") is None:
        pytest.skip("promtool isn't installed (Debian's package prometheus has it)")
    result = subprocess.run(["promtool", *words], cwd=PROMETHEUS, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
